import { DEFAULTS } from "../core/limits.js";

/** The longest that a stop may wait for clients, so that the process is gone within 10 s of the signal. */
export const SHUTDOWN_GRACE_MS_MAX = 8_000;

/** How the value of a setting is written in a flag or in the environment, where everything is text. */
export type SettingKind = "text" | "boolean" | "wholeNumber";

/** One setting of the server: every way to say it, and what it means. */
export interface SettingEntry {
  readonly kind: SettingKind;
  /** As in a configuration file. */
  readonly default: string | number | boolean;
  /** The long flag; that of a boolean can be turned round with `--no-`. */
  readonly flag: string;
  /** One letter that stands for the flag. */
  readonly short?: string;
  /** What the value of the flag is called in a help text. */
  readonly placeholder?: string;
  /** Environment variable. */
  readonly variable: string;
  /** What may be said, in words. */
  readonly allowed: string;
  /** All that may be said, where that can be listed. */
  readonly values?: readonly string[];
  /** What it does. Begins in lower case, so that it can follow a name. */
  readonly about: string;
}

export const ENGINES = ["lmdb", "memory"] as const;
export const LOG_LEVELS = ["info", "warn", "error", "silent"] as const;

/** Everything that can be said to `tidemark serve`. The schema takes its defaults and its words from here. */
export const SETTINGS = {
  listen: {
    ...text("127.0.0.1:50051", "--listen", "address", "host:port, [ipv6]:port or unix:path"),
    short: "l",
    variable: "TIDEMARK_LISTEN",
    about: "where to listen; port 0 chooses a free one",
  },
  dataDirectory: {
    ...text("./data", "--data", "directory", "a path"),
    short: "d",
    variable: "TIDEMARK_DATA_DIRECTORY",
    about: "where the messages are stored; made if it is not there, unused by the memory engine",
  },
  engine: {
    ...choice("lmdb", "--engine", "name", ENGINES),
    variable: "TIDEMARK_ENGINE",
    about: "what stores them; memory keeps nothing: everything is gone with the process",
  },
  insecureAllowRemote: {
    ...flag(false, "--insecure-allow-remote"),
    variable: "TIDEMARK_INSECURE_ALLOW_REMOTE",
    about: "allow an address that other machines can reach, though nobody is authenticated",
  },
  logLevel: {
    ...choice("info", "--log-level", "level", LOG_LEVELS),
    variable: "TIDEMARK_LOG_LEVEL",
    about: "the least grave log entries to write",
  },
  metricsListen: {
    ...text("off", "--metrics-listen", "address", "host:port or [ipv6]:port, or off"),
    variable: "TIDEMARK_METRICS_LISTEN",
    about: "where Prometheus may scrape /metrics, such as 127.0.0.1:9464; port 0 chooses a free one",
  },
  autoCreateQueues: {
    ...flag(true, "--auto-create"),
    variable: "TIDEMARK_AUTO_CREATE_QUEUES",
    about: "make queues when they are first named",
  },
  freeDiskBytesMin: {
    ...wholeNumber(DEFAULTS.freeDiskBytesMin, "--min-free-disk", "bytes", Number.MAX_SAFE_INTEGER),
    variable: "TIDEMARK_FREE_DISK_BYTES_MIN",
    about: "refuse to publish below so much free disk, in bytes, while acks go on",
  },
  shutdownGraceMs: {
    ...wholeNumber(5_000, "--shutdown-grace-ms", "ms", SHUTDOWN_GRACE_MS_MAX),
    variable: "TIDEMARK_SHUTDOWN_GRACE_MS",
    about: "how long a stop waits for clients to finish, in milliseconds",
  },
} as const satisfies Readonly<Record<string, SettingEntry>>;

/** The name of a setting, which is its key in a configuration file. */
export type SettingName = keyof typeof SETTINGS;

/** All of them, in the order in which people look for them. */
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** The entry of a setting. */
export function settingEntry(name: SettingName): SettingEntry {
  return SETTINGS[name];
}

/** True when there is such a setting. */
export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

function text<const Default extends string>(value: Default, name: string, placeholder: string, allowed: string) {
  return { kind: "text", default: value, flag: name, placeholder, allowed } as const;
}

function choice<const Default extends string>(value: Default, name: string, placeholder: string, values: readonly string[]) {
  return { ...text(value, name, placeholder, `${values.slice(0, -1).join(", ")} or ${values.at(-1) ?? ""}`), values } as const;
}

function flag(value: boolean, name: string) {
  return { kind: "boolean", default: value, flag: name, allowed: "true or false" } as const;
}

function wholeNumber(value: number, name: string, placeholder: string, max: number) {
  return { kind: "wholeNumber", default: value, flag: name, placeholder, allowed: `a whole number from 0 to ${max}` } as const;
}
