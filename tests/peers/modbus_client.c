/* A Modbus client of another make (libmodbus), as a child process.
 *
 *   modbus_client speed HOST PORT UNIT ADDRESS COUNT READS
 *       reads COUNT input registers READS times; prints the seconds that it took
 *   modbus_client read HOST PORT UNIT FUNCTION ADDRESS COUNT
 *       reads once; prints the registers, or "exception CODE"
 *   modbus_client write HOST PORT UNIT ADDRESS VALUE
 *       writes one holding register; prints "written", or "exception CODE"
 *
 * Compiled by whoever uses it: cc -O2 modbus_client.c -lmodbus
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int refused(void) {
    if (errno > MODBUS_ENOBASE && errno < MODBUS_ENOBASE + MODBUS_EXCEPTION_MAX) {
        printf("exception %d\n", errno - MODBUS_ENOBASE);
        return 0;
    }
    fprintf(stderr, "%s\n", modbus_strerror(errno));
    return 1;
}

static int speed(modbus_t *to, int address, int count, long reads) {
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    struct timespec begun, ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (long i = 0; i < reads; i++) {
        if (modbus_read_input_registers(to, address, count, words) != count) {
            fprintf(stderr, "read %ld: %s\n", i, modbus_strerror(errno));
            return 1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.9f\n", (double)(ended.tv_sec - begun.tv_sec) + (ended.tv_nsec - begun.tv_nsec) / 1e9);
    return 0;
}

static int read_once(modbus_t *to, int function, int address, int count) {
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    int got = function == 3 ? modbus_read_registers(to, address, count, words)
                            : modbus_read_input_registers(to, address, count, words);
    if (got < 0) {
        return refused();
    }
    for (int i = 0; i < got; i++) {
        printf(i ? " %u" : "%u", words[i]);
    }
    printf("\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "see the head of the source\n");
        return 2;
    }
    modbus_t *to = modbus_new_tcp(argv[2], atoi(argv[3]));
    if (to == NULL || modbus_set_slave(to, atoi(argv[4])) != 0 || modbus_connect(to) != 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    int failed = 2;
    if (strcmp(argv[1], "speed") == 0 && argc == 8) {
        failed = speed(to, atoi(argv[5]), atoi(argv[6]), atol(argv[7]));
    } else if (strcmp(argv[1], "read") == 0 && argc == 8) {
        failed = read_once(to, atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
    } else if (strcmp(argv[1], "write") == 0 && argc == 7) {
        if (modbus_write_register(to, atoi(argv[5]), atoi(argv[6])) == 1) {
            printf("written\n");
            failed = 0;
        } else {
            failed = refused();
        }
    }
    modbus_close(to);
    modbus_free(to);
    return failed;
}
