// Which Kibana behaves how: one table, from which every difference between the versions follows.

/**
 * What a version does differently: from `since` on, and no longer from `before` on. 7.17.6 and 8.12.2 follow recordings,
 * the others Kibana's source. The legacy routes (/api/actions/action, until 9.0) are a 404 in every version here.
 */
const differences = {
  /** Stands on Elasticsearch 7: `_type` in every item, and its error texts as that client words them. */
  elasticsearch7: { before: "8.0" },
  /** While it starts, Kibana answers a GET in a space with an HTML page, and checks kbn-xsrf. */
  pagesWhileStarting: { since: "8.0" },
  /** Connectors say whether they are deprecated; so do, further down, types and system actions. */
  deprecatedFlag: { since: "8.0" },
  /** Types tell which features they serve, and `feature_id` filters them. */
  featureIds: { since: "8.3" },
  /** OPTIONS is answered by a route of its own, which words its 404 as CORS does. */
  corsErrors: { before: "8.0" },
  /** `.index` writes with op_type create, so the items of a run are called `create`, not `index`. */
  createItems: { since: "8.4" },
  /** ... but failures were still looked for under `index`: a failed run says ok. */
  swallowedFailures: { since: "8.4", before: "8.11" },
  /** `POST /api/actions/connector/{id}` exists, for UUIDs. */
  pathIds: { since: "8.8" },
  /** Types without secrets or config refuse them. */
  strictTypes: { since: "8.8" },
  /** Elasticsearch says where in a document it stumbled: `[1:6] failed to parse ...`. */
  documentPositions: { since: "8.9" },
  /** More connector types are registered than 7.17 has. */
  moreTypes: { since: "8.12" },
  systemActions: { since: "8.11" },
  /** All reasons of a failed run are told, not only the first. */
  joinedReasons: { since: "8.11" },
  errorSource: { since: "8.13" },
  apiVersionHeader: { since: "8.16" },
  deprecatedTypes: { since: "9.1" },
  /** Connector types are validated by zod, and config-schema words an unknown key differently. */
  zod: { since: "9.2" },
  /** Ids may be short names, and `auth_mode` is shown. */
  shortIds: { since: "9.4" },
} as const satisfies Record<string, { since?: string; before?: string }>;

export type Difference = keyof typeof differences;
export type Behaviour = { version: string } & Record<Difference, boolean>;

export const versions = ["7.17.6", "8.6.2", "8.12.2", "8.19.4", "9.4.3"] as const;

/** The behaviour of a version that the sandbox knows; "8.6" stands for "8.6.2". */
export function behaviourOf(wanted: string): Behaviour {
  const version = versions.find((known) => known === wanted || known.startsWith(`${wanted}.`));
  if (version === undefined) {
    throw new Error(`The sandbox knows no Kibana "${wanted}". It knows ${versions.join(", ")}.`);
  }
  const flags = Object.entries<{ since?: string; before?: string }>(differences).map(([name, { since, before }]) => [
    name,
    (since === undefined || !isBefore(version, since)) && (before === undefined || isBefore(version, before)),
  ]);
  return { version, ...Object.fromEntries(flags) };
}

function isBefore(version: string, limit: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [limitMajor = 0, limitMinor = 0] = limit.split(".").map(Number);
  return major < limitMajor || (major === limitMajor && minor < limitMinor);
}
