"""A Modbus TCP server of another make (pymodbus), for tests/tests/modbus_peer.rs.

The first line of standard input says what it holds, every further line changes one value; both
are JSON. It listens on a free port of loopback and answers each line with one of its own.

    {"units": [{"unit": 1, "function": 4, "registers": [[52, "FLOAT32", -1234.56], ...]}]}
    {"ready": true, "port": 40123}
    {"unit": 1, "function": 4, "register": [52, "FLOAT32", 17.5]}
    {"done": true}

A unit serves its one function alone. Between two of its registers there are zeros, as in the real
devices, if they are no more than 125 apart; beyond that there is nothing, and so an exception.
How a value becomes registers is pymodbus' own affair.
"""

import asyncio
import json
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

LONGEST_GAP = 125


def data(register):
    address, kind, value = register
    return SimData(address, values=value, datatype=DataType[kind])


def device(unit):
    block, end = [], None
    for register in sorted(unit["registers"]):
        entry = data(register)
        if end is not None and 0 < entry.address - end <= LONGEST_GAP:
            block.append(SimData(end, count=entry.address - end, datatype=DataType.REGISTERS))
        block.append(entry)
        end = entry.address + len(entry.build_registers(False))
    # A block may not be empty: one place that nobody asks for.
    bits, words = SimData(65535, values=False, datatype=DataType.BITS), SimData(65535)
    blocks = {3: ([bits], [bits], block, [words]), 4: ([bits], [bits], [words], block)}
    return SimDevice(id=unit["unit"], simdata=blocks[unit["function"]])


def say(message):
    print(json.dumps(message), flush=True)


async def main():
    loop = asyncio.get_running_loop()

    async def line():
        return await loop.run_in_executor(None, sys.stdin.readline)

    units = json.loads(await line())["units"]
    server = ModbusTcpServer([device(unit) for unit in units], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    say({"ready": True, "port": server.transport.sockets[0].getsockname()[1]})
    while text := await line():
        change = json.loads(text)
        entry = data(change["register"])
        words = entry.build_registers(False)
        await server.async_setValues(change["unit"], change["function"], entry.address, words)
        say({"done": True})
    await server.shutdown()


asyncio.run(main())
