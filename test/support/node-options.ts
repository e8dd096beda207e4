// For the variable NODE_OPTIONS of every program of the tests. A module of its own, because child.ts is for tests only.
import { join } from "node:path";

// JSON's quotes and backslashes are those that Node expects there. npm starts scripts where package.json is.
export const nodeOptions = `--require=${JSON.stringify(join(process.cwd(), "test/support/liftoff.cjs"))}`;
