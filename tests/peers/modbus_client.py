"""A Modbus TCP client of another make (pymodbus), for tests/tests/bms_peer.rs.

Each line of standard input is a question in JSON, each answered with one of its own.

    {"port": 40123, "unit": 1, "address": 16, "count": 12, "input": true}
    {"words": [0, 0, ...]}  or  {"exception": 2}
    {"port": 40123, "unit": 1, "address": 16, "as": "FLOAT32"}
    {"value": 230.1}
    {"port": 40123, "unit": 1, "address": 16, "write": 7}
    {"exception": 1}
    {"port": 40123, "unit": 1, "who": true}
    {"who": ["Fyrhus", "Fyrhus gateway", "0.1.0"]}

How registers become a value is pymodbus' own affair.
"""

import json
import sys

from pymodbus.client import ModbusTcpClient


def answer(client, asked):
    unit, address = asked["unit"], asked.get("address", 0)
    if "write" in asked:
        told = client.write_register(address, asked["write"], device_id=unit)
        return {"exception": told.exception_code} if told.isError() else {"written": True}
    if "who" in asked:
        told = client.read_device_information(read_code=1, object_id=0, device_id=unit)
        return {"who": [told.information[at].decode() for at in sorted(told.information)]}
    kind = asked.get("as") and client.DATATYPE[asked["as"]]
    count = kind.value[1] if kind else asked["count"]
    read = client.read_input_registers if asked.get("input") else client.read_holding_registers
    told = read(address, count=count, device_id=unit)
    if told.isError():
        return {"exception": told.exception_code}
    if not kind:
        return {"words": told.registers}
    value = client.convert_from_registers(told.registers, kind)
    return {"value": value if value == value else None}


clients = {}
for line in sys.stdin:
    asked = json.loads(line)
    client = clients.get(asked["port"])
    if client is None:
        client = clients[asked["port"]] = ModbusTcpClient("127.0.0.1", port=asked["port"])
        client.connect()
    print(json.dumps(answer(client, asked)), flush=True)
