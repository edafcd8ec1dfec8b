"""What pyMeterBus says of telegrams, for tests/tests/mbus_differential.

A line of standard input is a frame in hex; the answer is a line of JSON: its records in order, or
why there are none. Of a record it tells the value as it was sent, before any power of ten.

    68 .. 16
    {"records": [["maximum", 1, 0, 0, "4711"], ["instantaneous", 0, 0, 0, "2014-03-13T14:26"]]}
    {"error": "KeyError: 123"}

Records without data and what the manufacturer alone knows are not told: it has no records for them.
"""

import json
import sys

import meterbus
from meterbus.core_objects import DataEncoding, FunctionType, MeasureUnit

FUNCTIONS = {
    FunctionType.INSTANTANEOUS_VALUE: "instantaneous",
    FunctionType.MAXIMUM_VALUE: "maximum",
    FunctionType.MINIMUM_VALUE: "minimum",
    FunctionType.ERROR_STATE_VALUE: "error",
}
DATES = (MeasureUnit.DATE, MeasureUnit.DATE_TIME, MeasureUnit.TIME, MeasureUnit.DATE_TIME_S)


def as_sent(record):
    _, coding = record.dib.length_encoding
    _, unit, _, _ = record._parse_vifx()
    if unit in DATES:
        return str(record.parsed_value)
    if coding == DataEncoding.ENCODING_INTEGER:
        return str(record.dataField.decodeInt)
    if coding == DataEncoding.ENCODING_BCD:
        return str(record.dataField.decodeBCD)
    if coding == DataEncoding.ENCODING_REAL:
        return repr(record.dataField.decodeReal)
    return str(record.parsed_value)


def records(frame):
    found = []
    for record in meterbus.load(frame).body.bodyPayload.records:
        if record.dib.is_eoud:
            continue
        storage, tariff, subunit = record.dib.parse_dife()
        function = FUNCTIONS[record.dib.function_type]
        found.append([function, storage, tariff or 0, subunit or 0, as_sent(record)])
    return found


for line in sys.stdin:
    try:
        answer = {"records": records(bytes.fromhex(line))}
    except Exception as error:  # whatever it does, it is an answer
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
