// Turns a request into JSON, and refuses what JSON would change on the way.
import { SerializationError } from "./errors.ts";

/** JSON, unless a value in `checked` would be stored as something else: then the error names its path. */
export function serialize(body: object, checked: unknown = body): string {
  let fault: Fault | undefined;
  let cause: unknown;
  try {
    fault = findFault(checked, []);
    if (!fault) return JSON.stringify(body);
  } catch (error) {
    cause = error; // of a toJSON or a getter
  }
  const { path, problem } = fault ?? { path: "", problem: String(cause) };
  throw new SerializationError(`${path.replace(/^\./, "") || "request"}: ${problem}`, { cause });
}

interface Fault {
  path: string;
  problem: string;
}

/** The first value that JSON would change, drop or refuse. */
function findFault(value: unknown, ancestors: object[]): Fault | undefined {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? undefined : fault(`${value} is no JSON number and would be stored as null.`);
    case "bigint":
      return fault("a BigInt is no JSON number. Pass a number or a string.");
    case "function":
    case "symbol":
      return fault(`a ${typeof value} would be left out.`);
    case "object":
      return value === null ? undefined : findFaultInside(value, ancestors);
    default:
      return undefined;
  }
}

function fault(problem: string, path = ""): Fault {
  return { path, problem };
}

function findFaultInside(value: object, ancestors: object[]): Fault | undefined {
  if (ancestors.includes(value)) return fault("contains itself.");
  if ("toJSON" in value && typeof value.toJSON === "function")
    return value instanceof Date && Number.isNaN(value.getTime())
      ? fault("an invalid date would be stored as null.")
      : findFault(value.toJSON(), ancestors);
  if (value instanceof Map || value instanceof Set)
    return fault(`a ${value.constructor.name} would be stored as {}. Pass an object or an array.`);
  if (ancestors.length > 500) return fault("is nested too deep.");
  ancestors.push(value);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = findFault(value[index], ancestors);
      if (found) return fault(found.problem, `[${index}]${found.path}`);
    }
  } else {
    // In place: a list of the keys of each of 4000 documents would double the cost of the check.
    for (const key in value) {
      const inner = (value as Record<string, unknown>)[key];
      if ((typeof inner === "string" && key !== "__proto__") || !Object.hasOwn(value, key)) continue;
      const found = key === "__proto__" ? fault("Kibana refuses this key.") : findFault(inner, ancestors);
      if (!found) continue;
      const step = /^[\w@$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
      return fault(found.problem, step + found.path);
    }
  }
  ancestors.pop();
  return undefined;
}
