// What it costs to load the client.
import { KibanaClient } from "kbn-connectors";

void KibanaClient;
