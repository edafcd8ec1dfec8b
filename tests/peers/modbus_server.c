/* A Modbus server of another make (libmodbus), as a child process.
 *
 *   modbus_server tcp|rtu-pty DEVICE
 *
 * tcp: listens on a free port of loopback and prints it; serves one connection after the other.
 * rtu: DEVICE is a serial line or a pseudo-terminal, spoken to as unit 7 at 115200 baud without
 * parity; prints "ready".
 *
 * Input register N holds N, as far as 299; it ends when its standard input does.
 *
 * Compiled by whoever uses it: cc -O2 modbus_server.c -lmodbus
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers until the other end is gone; 1 if standard input has ended. */
static int serve(modbus_t *of, modbus_mapping_t *registers, int is_line) {
    uint8_t question[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        struct pollfd both[2] = {{.fd = modbus_get_socket(of), .events = POLLIN},
                                 {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(both, 2, -1) < 0) {
            return 1;
        }
        if (both[1].revents != 0) {
            return 1;
        }
        int length = modbus_receive(of, question);
        if (length > 0) {
            modbus_reply(of, question, length, registers);
        } else if (length < 0 && !is_line) {
            return 0;
        }
    }
}

int main(int argc, char **argv) {
    modbus_mapping_t *registers = modbus_mapping_new(0, 0, 0, 300);
    if (registers == NULL || argc < 2) {
        return 2;
    }
    for (int i = 0; i < 300; i++) {
        registers->tab_input_registers[i] = (uint16_t)i;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(argv[1], "rtu") == 0 && argc == 3) {
        modbus_t *line = modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
        if (line == NULL || modbus_set_slave(line, 7) != 0 || modbus_connect(line) != 0) {
            fprintf(stderr, "%s\n", modbus_strerror(errno));
            return 1;
        }
        printf("ready\n");
        serve(line, registers, 1);
        return 0;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) != 0 ||
        listen(listener, 4) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0) {
        fprintf(stderr, "%s\n", strerror(errno));
        return 1;
    }
    printf("%u\n", ntohs(at.sin_port));
    for (;;) {
        modbus_t *connection = modbus_new_tcp("127.0.0.1", 0);
        int accepted = listener;
        if (connection == NULL || modbus_tcp_accept(connection, &accepted) < 0) {
            return 1;
        }
        if (serve(connection, registers, 0)) {
            return 0;
        }
        modbus_close(connection);
        modbus_free(connection);
    }
}
