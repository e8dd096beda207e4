// Variables of the environment and of .env files.
import { readFileSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { parse } from "dotenv";
import { toText } from "./json.ts";
import { refuse } from "./options.ts";

/** A variable that is set. */
export interface Variable {
  readonly value: string;
  /** Where it is set: `environment variables`, or a file. */
  readonly source: string;
  /** Its name in messages, such as `KIBANA_URL (.env)`. */
  readonly label: string;
}

/** Looks a variable up. Undefined if it is not set, or blank. */
export type Lookup = (name: string) => Variable | undefined;

/** Such as `process.env`. */
export type Env = Readonly<Record<string, string | undefined>>;

export function createLookup(source: string, env: Env): Lookup {
  return (name) => {
    const value = env[name];
    if (!value?.trim()) return undefined;
    const label = `${name} (${source})`;
    if (/^\s*(".*"|'.*')\s*$/s.test(value)) refuse(`${label}: is quoted. Remove the quotes around the value.`);
    return { value, source, label };
  };
}

/** A file that does not exist has no variables. Labels name the file relative to `cwd`. */
export function readEnvFile(file: string, cwd: string): Lookup {
  const path = resolve(cwd, file);
  const text = readText(path);
  if (/[\0\uFFFD]/.test(text)) refuse(`${path}: is not UTF-8 (old PowerShells write UTF-16). Save it as UTF-8.`);
  return createLookup(relative(cwd, path).replaceAll("\\", "/"), parse(text));
}

function readText(path: string): string {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8") : "";
  } catch (error) {
    refuse(`${path}: cannot be read (${toText(error)}).`);
  }
}

/** Looks in one place, then in the other. */
export function withFallback(lookup: Lookup, fallback: Lookup): Lookup {
  return (name) => lookup(name) ?? fallback(name);
}
