import { type Command, InvalidArgumentError, Option } from "commander";
import type { QueueChanges, QueueSettings } from "../client/index.js";
import { durationMs, positiveInteger, positiveNumber } from "./arguments.js";
import { bytesText, countText, durationText } from "./quantity.js";

type SettingName = keyof QueueSettings;

/** What Commander found of the flags, by its own names. */
export type QueueSettingFlags = Readonly<Record<string, unknown>>;

interface SettingFlag {
  readonly setting: SettingName;
  readonly flags: string;
  readonly about: string;
  /** What the flag's value means; of a rule, one of these. */
  readonly value: ((text: string) => number) | readonly string[];
  /** What people call it, and how they read it. */
  readonly label: string;
  readonly text: (value: number) => string;
}

const INHERIT = "inherit";
/** What subscribers do not have. */
const ONLY_QUEUES: ReadonlySet<SettingName> = new Set<SettingName>(["dedupWindowMs", "dedupIdsMax", "retention", "maxAgeMs", "maxBytes", "maxMessages", "whenFull"]);

/** Whose settings a command takes. */
export type SettingsOf = "queue" | "subscriber";

/** Any time: what is allowed is the server's to say. */
const time = (text: string): number => durationMs(text);

/** Every setting once, in the order of help and of what is shown. */
const FLAGS: readonly SettingFlag[] = [
  { setting: "ackTimeoutMs", flags: "--ack-timeout <time>", about: "lease of a delivery, 100ms to 12h (server: 1m)", value: time, label: "ack timeout", text: durationText },
  { setting: "maxAttempts", flags: "--max-attempts <count>", about: "attempts before a message is poison (server: 10)", value: positiveInteger, label: "max attempts", text: countText },
  { setting: "maxDeliveries", flags: "--max-deliveries <count>", about: "hand-outs without a verdict before it is poison, from 3 (server: 20)", value: positiveInteger, label: "max deliveries", text: countText },
  { setting: "onPoison", flags: "--on-poison <rule>", about: "what becomes of poison; block-lane on ordered queues alone (server: dead-letter)", value: ["dead-letter", "block-lane"], label: "on poison", text: String },
  { setting: "backoffMinMs", flags: "--backoff-min <time>", about: "first wait of a retry, 0s to 12h (server: 100ms)", value: time, label: "backoff min", text: durationText },
  { setting: "backoffMaxMs", flags: "--backoff-max <time>", about: "longest wait of a retry, to 12h (server: 1m)", value: time, label: "backoff max", text: durationText },
  { setting: "backoffFactor", flags: "--backoff-factor <number>", about: "how much longer each wait is, 1 to 10 (server: 2)", value: positiveNumber, label: "backoff factor", text: String },
  { setting: "maxUnsettled", flags: "--max-unsettled <count>", about: "how much of a subscriber may be unsettled (server: 10000)", value: positiveInteger, label: "max unsettled", text: countText },
  { setting: "windowMessages", flags: "--window-messages <count>", about: "messages that a client holds, to 100000 (server: 1000)", value: positiveInteger, label: "window messages", text: countText },
  { setting: "windowBytes", flags: "--window-bytes <bytes>", about: "bytes that a client holds, to 67108864 (server: 8388608)", value: positiveInteger, label: "window bytes", text: bytesText },
  { setting: "expireAfterMs", flags: "--expire-after <time>", about: "delete a subscriber without a client after this long, from 1s; 0s: never (server: 0s)", value: time, label: "expire after", text: expiryText },
  { setting: "onExpiry", flags: "--on-expiry <rule>", about: "what becomes of messages that expire (server: settle)", value: ["settle", "dead-letter"], label: "on expiry", text: String },
  { setting: "dedupWindowMs", flags: "--dedup-window <time>", about: "how long message ids are remembered, 0s to 24h (server: 2m)", value: time, label: "dedup window", text: durationText },
  { setting: "dedupIdsMax", flags: "--dedup-ids <count>", about: "how many message ids are remembered, to 10000000 (server: 1000000)", value: positiveInteger, label: "dedup ids", text: countText },
  { setting: "retention", flags: "--retention <mode>", about: "what releases a message: until-acked, every subscriber; log, nothing but the bounds (default: until-acked)", value: ["until-acked", "log"], label: "retention", text: String },
  { setting: "maxAgeMs", flags: "--max-age <time>", about: "drop messages older than this, 1s to 3650d (default: no bound)", value: time, label: "max age", text: durationText },
  { setting: "maxBytes", flags: "--max-bytes <bytes>", about: "how much the messages may take (default: no bound)", value: positiveInteger, label: "max bytes", text: bytesText },
  { setting: "maxMessages", flags: "--max-messages <count>", about: "how many messages there may be (default: no bound)", value: positiveInteger, label: "max messages", text: countText },
  { setting: "whenFull", flags: "--when-full <rule>", about: "what gives way at max-bytes or max-messages (default: drop-oldest of a log, reject-new otherwise)", value: ["drop-oldest", "reject-new"], label: "when full", text: String },
];

/** Gives a command the settings of a queue or a subscriber as flags, for one that is new. */
export function addSettingFlags(command: Command, of: SettingsOf = "queue"): Command {
  for (const { flags, about, value } of flagsOf(of)) {
    const option = new Option(flags, about);
    command.addOption(typeof value === "function" ? option.argParser(value) : option.choices(value));
  }
  return command;
}

/** The same for one that is there: each flag takes `inherit` as well. */
export function addChangeFlags(command: Command, of: SettingsOf = "queue"): Command {
  for (const { flags, about, value } of flagsOf(of)) {
    const option = new Option(flags, about);
    command.addOption(typeof value === "function" ? option.argParser((text) => valueOrInherit(value, of, text)) : option.choices([...value, INHERIT]));
  }
  return command;
}

/** What these flags say, by the names of the client; of those for a new queue, none is `inherit`. */
export function settingsSaid(flags: QueueSettingFlags): QueueChanges {
  const said = FLAGS.map(({ setting, flags: names, value }) => {
    const text = flags[new Option(names).attributeName()];
    return [setting, typeof value === "function" || text === INHERIT || typeof text !== "string" ? text : constantName(text)] as const;
  });
  return Object.fromEntries(said.filter(([, value]) => value !== undefined));
}

/** What is set, a line each. */
export function settingDetails(settings: QueueSettings): [label: string, text: string][] {
  return FLAGS.flatMap(({ setting, label, text }): [string, string][] => {
    const value = settings[setting];
    if (value === undefined) return [];
    return [[label, typeof value === "number" ? text(value) : value.toLowerCase().replaceAll("_", "-")]];
  });
}

/** What is set, for programs: `ack_timeout_ms` and so on. */
export function settingsJson(settings: QueueSettings): object {
  return Object.fromEntries(FLAGS.filter(({ setting }) => settings[setting] !== undefined).map(({ setting }) => [snakeCase(setting), settings[setting]]));
}

function flagsOf(of: SettingsOf): readonly SettingFlag[] {
  return of === "queue" ? FLAGS : FLAGS.filter(({ setting }) => !ONLY_QUEUES.has(setting));
}

function expiryText(ms: number): string {
  return ms === 0 ? "never" : durationText(ms);
}

function valueOrInherit(parse: (text: string) => number, of: SettingsOf, text: string): number | typeof INHERIT {
  if (text === INHERIT) return INHERIT;
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new InvalidArgumentError(`${error.message} Or ${INHERIT}, for what the ${of === "queue" ? "server" : "queue"} has.`);
    throw error;
  }
}

/** A rule as the contract names it. */
function constantName(text: string): string {
  return text.toUpperCase().replaceAll("-", "_");
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
