import tseslint from "typescript-eslint";

/** What reads a clock, waits, draws lots or talks to the process, and what to use instead. */
const AMBIENT_GLOBALS = {
  setTimeout: "Timers belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts.",
  setInterval: "Timers belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts.",
  setImmediate: "Timers belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts.",
  performance: "Clocks belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts.",
  console: "Output belongs to the command line and to the logger.",
  process: "The process belongs to main: settings are parsed once in src/config and handed in.",
};

const AMBIENT_PROPERTIES = [
  { object: "Date", property: "now", message: "Clocks belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts." },
  { object: "Math", property: "random", message: "Randomness belongs to adapters: the core and the broker must replay." },
];

const ENVIRONMENT_PROPERTIES = ["env", "argv", "exit", "stdout", "stderr"].map((property) => ({
  object: "process",
  property,
  message: "The process belongs to main and the command line: settings are parsed once in src/config and handed in.",
}));

const CLOCK_SYNTAX = [
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: "Clocks belong to adapters: take the time as an argument, or a Clock from src/ports/clock.ts.",
  },
];

const AMBIENT_MODULES = ["timers", "timers/promises", "perf_hooks", "process", "console"].map((name) => ({
  name: `node:${name}`,
  message: "Clocks, timers, output and the process belong to adapters and main.",
}));

/** The rules on ambient things for one room, which may use the globals that it names and, with `clock`, time and chance. */
function ambient(files, { globals = [], clock = false, environment = false } = {}) {
  const banned = Object.entries(AMBIENT_GLOBALS)
    .filter(([name]) => !globals.includes(name) && !(clock && name === "performance"))
    .map(([name, message]) => ({ name, message }));
  const properties = [...(clock ? [] : AMBIENT_PROPERTIES), ...(environment ? [] : ENVIRONMENT_PROPERTIES)];
  return {
    files,
    // A rule that is only switched on keeps the options of the room before, so an empty list is said with "off".
    rules: {
      "no-restricted-globals": banned.length === 0 ? "off" : ["error", ...banned],
      "no-restricted-properties": properties.length === 0 ? "off" : ["error", ...properties],
      "no-restricted-syntax": clock ? "off" : ["error", ...CLOCK_SYNTAX],
      "no-restricted-imports": clock ? "off" : ["error", { paths: AMBIENT_MODULES }],
    },
  };
}

const TIMERS = ["setTimeout", "setInterval", "setImmediate"];

export default tseslint.config(
  { ignores: ["dist/", "generated/", "coverage/", ".cache/", "node_modules/", "data/"] },
  {
    linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always"],
      "no-empty": ["error", { allowEmptyCatch: false }],
      "no-var": "error",
      "prefer-const": "error",
      "no-else-return": "off",
      "no-constant-binary-expression": "error",
      "no-duplicate-imports": "off",
      "no-unreachable-loop": "error",
      "no-self-compare": "error",
      "no-template-curly-in-string": "error",
      "no-param-reassign": "error",
      "no-warning-comments": ["error", { terms: ["todo", "fixme", "xxx", "hack", "for now", "not implemented"], location: "anywhere" }],
      "max-lines": ["error", { max: 350, skipBlankLines: false, skipComments: false }],
      "max-lines-per-function": ["error", { max: 90, skipBlankLines: true, skipComments: true }],
      "max-depth": ["error", 5],
    },
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/consistent-type-exports": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_", caughtErrors: "all" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true, allowNever: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      "@typescript-eslint/prefer-readonly": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/return-await": ["error", "in-try-catch"],
      "@typescript-eslint/strict-boolean-expressions": "off",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/unified-signatures": "off",
    },
  },
  ambient(["src/**/*.ts"]),
  ambient(["src/system/**/*.ts", "src/engines/**/*.ts"], { globals: TIMERS, clock: true }),
  ambient(["src/grpc/**/*.ts"], { globals: TIMERS }),
  // A program's own turn queue (process.nextTick) is no ambient input; its environment is.
  ambient(["src/client/**/*.ts"], { globals: [...TIMERS, "process"], clock: true }),
  ambient(["src/cli/**/*.ts", "src/main.ts"], { globals: [...TIMERS, "process", "console"], clock: true, environment: true }),
  {
    files: ["test/**/*.ts", "bench/**/*.ts", "examples/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/explicit-module-boundary-types": "off",
      "@typescript-eslint/no-misused-spread": "off",
      "max-lines": ["error", { max: 500 }],
      "max-lines-per-function": "off",
    },
  },
  { files: ["**/*.{js,cjs,mjs}"], extends: [tseslint.configs.recommended], rules: { "@typescript-eslint/no-require-imports": "off" } },
);
