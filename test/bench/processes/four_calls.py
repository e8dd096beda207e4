# Create, run, get and delete a connector, with kibana-py.
import sys

from kibana import Kibana

client = Kibana(sys.argv[1], basic_auth=("elastic", "changeme"))
id = client.connectors.create(
    name="My Connected Index Connector",
    connector_type_id=".index",
    config={"index": "miconnectedindex", "refresh": True, "executionTimeField": "@timestamp"},
)["id"]
run = client.connectors.execute(id=id, params={"documents": [{"message": "Hello from Kibana connector!"}]})
found = client.connectors.get(id=id)
client.connectors.delete(id=id)
print(found["name"], run["status"])
client.close()
