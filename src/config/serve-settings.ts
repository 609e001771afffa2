import { z } from "zod";
import { isLoopback, parseListenAddress } from "./listen-address.js";
import type { ListenAddress, TcpAddress } from "./listen-address.js";
import { ENGINES, isSettingName, LOG_LEVELS, SETTING_NAMES, SETTINGS, SHUTDOWN_GRACE_MS_MAX } from "./setting-catalog.js";

/** The one judge of every setting, wherever it was said. Unknown settings are refused. */
const schema = z
  .strictObject({
    listen: address(SETTINGS.listen.allowed).prefault(SETTINGS.listen.default),
    dataDirectory: z.string({ error: SETTINGS.dataDirectory.allowed }).min(1, SETTINGS.dataDirectory.allowed).default(SETTINGS.dataDirectory.default),
    engine: z.enum(ENGINES, { error: SETTINGS.engine.allowed }).default(SETTINGS.engine.default),
    insecureAllowRemote: z.boolean({ error: SETTINGS.insecureAllowRemote.allowed }).default(SETTINGS.insecureAllowRemote.default),
    logLevel: z.enum(LOG_LEVELS, { error: SETTINGS.logLevel.allowed }).default(SETTINGS.logLevel.default),
    metricsListen: metricsAddress(SETTINGS.metricsListen.allowed).prefault(SETTINGS.metricsListen.default),
    autoCreateQueues: z.boolean({ error: SETTINGS.autoCreateQueues.allowed }).default(SETTINGS.autoCreateQueues.default),
    freeDiskBytesMin: wholeNumber(Number.MAX_SAFE_INTEGER, SETTINGS.freeDiskBytesMin.allowed).default(SETTINGS.freeDiskBytesMin.default),
    shutdownGraceMs: wholeNumber(SHUTDOWN_GRACE_MS_MAX, SETTINGS.shutdownGraceMs.allowed).default(SETTINGS.shutdownGraceMs.default),
  })
  .check((context) => {
    const { listen, metricsListen, insecureAllowRemote } = context.value;
    for (const [setting, address, example] of [["listen", listen, SETTINGS.listen.default], ["metricsListen", metricsListen, "127.0.0.1:9464"]] as const) {
      if (insecureAllowRemote || address === undefined || isLoopback(address)) continue;
      context.issues.push({
        code: "custom",
        path: [setting],
        input: address,
        message: `a loopback address such as ${example}, since clients are not authenticated; insecureAllowRemote (${SETTINGS.insecureAllowRemote.flag}) lifts this`,
      });
    }
  });

/** What `tidemark serve` was told, checked, with defaults. Frozen. */
export type ServeSettings = Readonly<z.output<typeof schema>>;

/** The same before checking: everything may be left out. */
export type ServeSettingsInput = z.input<typeof schema>;

/** A setting has a value that is not allowed. The message names the setting as it was said, the value, and what is allowed. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";

  /** @param said the setting together with where it was said: `--listen`, `listen in server.json` */
  constructor(
    readonly setting: string,
    readonly said: string,
    readonly value: string,
    readonly allowed: string,
  ) {
    super(`${said} is ${value}; allowed: ${allowed}`);
  }
}

/**
 * Checks settings and fills in defaults. Reads nothing, touches nothing. Throws SettingsError for the first bad one.
 * @param saidAs how an error speaks of a setting
 */
export function parseServeSettings(input: Readonly<Record<string, unknown>>, saidAs: (setting: string) => string = (setting) => setting): ServeSettings {
  for (const [setting, value] of Object.entries(input)) if (!isSettingName(setting)) throw unknownSetting(setting, saidAs(setting), value, SETTING_NAMES);
  const parsed = schema.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const issue = parsed.error.issues[0];
  const setting = String(issue?.path[0] ?? "");
  throw new SettingsError(setting, saidAs(setting), shown(input[setting]), issue?.message ?? "");
}

/** The error of a setting that there is not. */
export function unknownSetting(setting: string, said: string, value: unknown, known: readonly string[]): SettingsError {
  return new SettingsError(setting, said, shown(value), `nothing, since there is no such setting; there are ${known.join(", ")}`);
}

function address(allowed: string) {
  return z.string({ error: allowed }).transform((text, context): ListenAddress => {
    const parsed = parseListenAddress(text);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: "custom", message: allowed });
    return z.NEVER;
  });
}

/** Undefined: nobody asked for metrics. */
function metricsAddress(allowed: string) {
  return z.string({ error: allowed }).transform((text, context): TcpAddress | undefined => {
    if (text === "off") return undefined;
    const parsed = parseListenAddress(text);
    if (parsed?.kind === "tcp") return parsed;
    context.addIssue({ code: "custom", message: allowed });
    return z.NEVER;
  });
}

function wholeNumber(max: number, allowed: string): z.ZodInt {
  return z.int({ error: allowed }).min(0, allowed).max(max, allowed);
}

function shown(value: unknown): string {
  return value === undefined ? "not set" : JSON.stringify(value);
}
