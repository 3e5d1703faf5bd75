"""Says of each request on standard input, a line of JSON, whether a library accepts it."""

import base64
import json
import sys

import standardwebhooks
import svix.webhooks

libraries = {"standardwebhooks": standardwebhooks.Webhook, "svix": svix.webhooks.Webhook}

for line in sys.stdin:
    request = json.loads(line)
    webhook = libraries[request["library"]](request["secret"])
    try:
        webhook.verify(base64.b64decode(request["body"]), request["headers"])
        print("true")
    except Exception:
        print("false")
