/** The rooms of the code and the only arrows between them. ARCHITECTURE.md says why. */
const ROOMS = {
  core: ["core"],
  ports: ["ports", "core"],
  engines: ["engines", "ports", "core"],
  system: ["system", "ports", "core"],
  telemetry: ["telemetry", "ports", "core"],
  broker: ["broker", "ports", "core"],
  grpc: ["grpc", "broker", "ports", "core"],
  client: ["client"],
  config: ["config", "core"],
  cli: ["cli", "client"],
};

/** Rooms that may import what protoc generated. */
const SEES_GENERATED = ["grpc", "client", "cli"];

/** The outside world that a room may touch; rooms that are not named may touch any package. */
const PURE_NODE_MODULES = "^node:(crypto|zlib)$|^(crypto|zlib)$";

function arrows(room, reachable) {
  const own = reachable.map((name) => `^src/${name}/`);
  if (SEES_GENERATED.includes(room)) own.push("^generated/");
  return {
    name: `${room}-imports`,
    comment: `src/${room} may import only: ${reachable.join(", ")}${SEES_GENERATED.includes(room) ? ", generated" : ""}.`,
    severity: "error",
    from: { path: `^src/${room}/`, pathNot: "^src/cli/(serve|settings|config)\\.ts$" },
    to: { path: "^(src|generated|test|bench|examples)/", pathNot: own },
  };
}

module.exports = {
  forbidden: [
    ...Object.entries(ROOMS).map(([room, reachable]) => arrows(room, reachable)),
    {
      name: "serve-imports",
      comment: "The serve command is the one that reaches the composition root; like its siblings it may use the client.",
      severity: "error",
      from: { path: "^src/cli/serve\\.ts$" },
      to: { path: "^(src|test|bench|examples)/", pathNot: ["^src/cli/", "^src/client/", "^src/config/", "^src/main\\.ts$"] },
    },
    {
      name: "settings-imports",
      comment: "The commands that are told the settings of the server know what settings there are.",
      severity: "error",
      from: { path: "^src/cli/(settings|config)\\.ts$" },
      to: { path: "^(src|generated|test|bench|examples)/", pathNot: ["^src/cli/", "^src/config/"] },
    },
    {
      name: "schema-is-loaded-lazily",
      comment: "Publishing from a shell must not load the schema: of src/config, the command line loads the catalog alone at its start.",
      severity: "error",
      from: { path: "^src/cli/" },
      to: { path: "^src/config/", pathNot: "^src/config/setting-catalog\\.ts$", dynamic: false, dependencyTypesNot: ["type-only"] },
    },
    {
      name: "serve-reaches-main-lazily",
      comment: "Publishing from a shell must not load the server: serve.ts imports main.ts with a dynamic import.",
      severity: "error",
      from: { path: "^src/cli/serve\\.ts$" },
      to: { path: "^src/main\\.ts$", dynamic: false, dependencyTypesNot: ["type-only"] },
    },
    {
      name: "nobody-else-imports-main",
      comment: "main.ts knows everybody, so nobody may know main.ts.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/cli/serve\\.ts$" },
      to: { path: "^src/main\\.ts$" },
    },
    {
      name: "core-and-ports-touch-nothing",
      comment: "The core is pure: of the outside world it sees only hash and checksum functions.",
      severity: "error",
      from: { path: "^src/(core|ports)/" },
      to: { dependencyTypes: ["npm", "npm-dev", "npm-peer", "npm-optional", "core"], pathNot: PURE_NODE_MODULES },
    },
    {
      name: "broker-touches-no-package",
      comment: "The broker speaks to the world through ports.",
      severity: "error",
      from: { path: "^src/broker/" },
      to: { dependencyTypes: ["npm", "npm-dev", "npm-peer", "npm-optional", "core"], pathNot: PURE_NODE_MODULES },
    },
    {
      name: "lmdb-stays-in-its-engine",
      comment: "One place knows the store.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/engines/lmdb/" },
      to: { path: "node_modules/lmdb/" },
    },
    {
      name: "prometheus-stays-in-telemetry",
      comment: "Whoever counts adds to a tally; one place knows who reads it.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/telemetry/" },
      to: { path: "node_modules/prom-client/" },
    },
    {
      name: "grpc-stays-at-the-edges",
      comment: "Only the server, the client and the commands know the transport.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(grpc|client|cli)/|^src/main\\.ts$" },
      to: { path: "node_modules/(@grpc|grpc-health-check)/" },
    },
    {
      name: "no-cycles",
      comment: "A cycle has no first part to understand.",
      severity: "error",
      from: { path: "^src/" },
      to: { circular: true },
    },
    {
      name: "no-development-packages",
      comment: "What ships runs on the dependencies alone.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "resolvable",
      comment: "Every import leads somewhere.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "file-names",
      comment: "Files are kebab-case, named for the noun that they hold.",
      severity: "error",
      from: { path: "^src/.*[A-Z_ ]" },
      to: {},
    },
    {
      name: "nouns-not-bags",
      comment: "index.ts stands only at public edges; utils, helpers, common and misc hold no noun.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "/(index|utils?|helpers?|common|misc|manager)\\.ts$", pathNot: "^src/client/index\\.ts$|node_modules/" },
    },
    {
      name: "known-rooms",
      comment: "A new folder in src/ needs its arrows in this file first.",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/(${Object.keys(ROOMS).join("|")})/|^src/main\\.ts$` },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "require", "node", "default", "types"], extensions: [".ts", ".js", ".cjs", ".mjs", ".json"] },
    moduleSystems: ["es6", "cjs"],
  },
};
