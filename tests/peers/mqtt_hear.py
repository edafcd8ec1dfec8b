"""Prints the first message under a topic, with paho's client: PORT USER PASSWORD TOPIC.

Ends with 77 where paho is not installed.
"""

import sys

try:
    import paho.mqtt.client as mqtt
except ImportError:
    sys.exit(77)

port, user, password, topic = sys.argv[1:]


def connected(client, _userdata, _flags, code, _properties):
    if code.is_failure:
        sys.exit(f"refused: {code}")
    client.subscribe(topic, qos=1)


def heard(client, _userdata, message):
    print(message.payload.decode(), "retained" if message.retain else "live")
    client.disconnect()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho")
client.username_pw_set(user, password)
client.on_connect, client.on_message = connected, heard
client.connect("127.0.0.1", int(port))
client.loop_forever()
