// The versions of Kibana that the sandbox can be: 8.12.2 as recorded, 8.19.4 and 9.4.3 from Kibana's source.

export interface Behaviour {
  version: string;
  /** Not 8.12: failed runs have an `errorSource`, answers an `elastic-api-version`. */
  isAfter812: boolean;
  /** Zod validates connector types, ids may be short names, there are more fields and no legacy routes. */
  is94: boolean;
}

export const versions = ["8.12.2", "8.19.4", "9.4.3"];

export function behaviourOf(wanted: string): Behaviour {
  const version = versions.find((known) => known === wanted || known.startsWith(`${wanted}.`));
  if (version !== undefined) return { version, isAfter812: version !== "8.12.2", is94: version === "9.4.3" };
  throw new Error(`The sandbox does not simulate Kibana "${wanted}", only ${versions.join(", ")}.`);
}
