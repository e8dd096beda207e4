// The connectors that Kibana keeps: one set of ids for all spaces, but each connector is seen in its own space only.

export interface StoredConnector {
  id: string;
  name: string;
  space: string;
  connector_type_id: string;
  config: unknown;
  secrets: unknown;
  /** Counts the writes, as Elasticsearch does for Kibana's own index. */
  seqNo: number;
}

/** Connectors of kibana.yml: in every space, and nobody can change them. */
export const preconfiguredIn = (index: string) => [
  {
    id: "pre-index",
    name: "Preconfigured index",
    connector_type_id: ".index",
    config: { index, refresh: false, executionTimeField: null },
  },
];

export function createSavedObjects() {
  const byId = new Map<string, StoredConnector>();
  let writes = 0;
  return {
    find(space: string, id: string) {
      const connector = byId.get(id);
      return connector?.space === space ? connector : undefined;
    },
    has: (id: string) => byId.has(id),
    inSpace: (space: string) => [...byId.values()].filter((connector) => connector.space === space),
    all: () => [...byId.values()],
    save(connector: Omit<StoredConnector, "seqNo">): StoredConnector {
      const stored = { ...connector, seqNo: writes++ };
      // A rewritten document is a new one to a search: it comes last among equal names.
      byId.delete(connector.id);
      byId.set(connector.id, stored);
      return stored;
    },
    remove: (id: string) => void byId.delete(id),
  };
}
