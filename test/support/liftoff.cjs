// Loaded before every program of the tests: V8 compiles undici's parser, which is WebAssembly, with its first compiler only.
// The second would take 0.07 s of each process. Not as an option of node: then Node would compile its own modules, too.
const { setFlagsFromString } = require("node:v8");
const { WebAssembly } = globalThis;

Object.defineProperty(globalThis, "WebAssembly", {
  configurable: true,
  get() {
    setFlagsFromString("--liftoff-only");
    return WebAssembly;
  },
});
