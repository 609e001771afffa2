import { z } from "zod";
import { DEFAULTS } from "../core/limits.js";
import { isLoopback, parseListenAddress } from "./listen-address.js";
import type { ListenAddress } from "./listen-address.js";

/** The longest that a stop may wait for clients, so that the process is gone within 10 s of the signal. */
const SHUTDOWN_GRACE_MS_MAX = 8_000;

const LISTEN_FORMS = "host:port, [ipv6]:port or unix:path";

/** Everything that can be said to `tidemark serve`, with its default. Unknown settings are refused. */
const schema = z
  .strictObject({
    /** Where to listen. Port 0 chooses a free one. */
    listen: z
      .string({ error: LISTEN_FORMS })
      .default("127.0.0.1:50051")
      .transform((text, context): ListenAddress => {
        const address = parseListenAddress(text);
        if (address !== undefined) return address;
        context.addIssue({ code: "custom", message: LISTEN_FORMS });
        return z.NEVER;
      }),
    /** Folder of the stored messages; made if it is not there. Unused by the memory engine. */
    dataDirectory: z.string({ error: "a path" }).min(1, "a path").default("./data"),
    /** `memory` keeps nothing: everything is gone with the process. */
    engine: z.enum(["lmdb", "memory"], { error: "lmdb or memory" }).default("lmdb"),
    /** Allows an address that others can reach, without any protection. */
    insecureAllowRemote: z.boolean({ error: "true or false" }).default(false),
    /** The least grave log entries to write. */
    logLevel: z.enum(["info", "warn", "error", "silent"], { error: "info, warn, error or silent" }).default("info"),
    /** Makes queues when they are first named. */
    autoCreateQueues: z.boolean({ error: "true or false" }).default(true),
    /** Below so many free bytes on the disk publishing is refused, while acks go on. */
    freeDiskBytesMin: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(DEFAULTS.freeDiskBytesMin),
    /** How long a stop waits for clients to finish, in milliseconds. */
    shutdownGraceMs: wholeNumber(0, SHUTDOWN_GRACE_MS_MAX).default(5_000),
  })
  .check((context) => {
    const { listen, insecureAllowRemote } = context.value;
    if (insecureAllowRemote || isLoopback(listen)) return;
    context.issues.push({
      code: "custom",
      path: ["listen"],
      input: listen,
      message: "a loopback address such as 127.0.0.1:50051, since clients are not authenticated; insecureAllowRemote lifts this",
    });
  });

/** What `tidemark serve` was told, checked, with defaults. Frozen. */
export type ServeSettings = Readonly<z.output<typeof schema>>;

/** The same before checking: everything may be left out. */
export type ServeSettingsInput = z.input<typeof schema>;

/** A setting has a value that is not allowed. The message names the setting, the value, and what is allowed. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";

  constructor(
    readonly setting: string,
    readonly value: string,
    readonly allowed: string,
  ) {
    super(`${setting} is ${value}; allowed: ${allowed}`);
  }
}

/** Checks settings and fills in defaults. Reads nothing, touches nothing. Throws SettingsError for the first bad one. */
export function parseServeSettings(input: Readonly<Record<string, unknown>>): ServeSettings {
  const parsed = schema.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const issue = parsed.error.issues[0];
  if (issue?.code === "unrecognized_keys") {
    const setting = issue.keys[0] ?? "";
    throw new SettingsError(setting, shown(input[setting]), `only ${Object.keys(schema.shape).join(", ")} can be set`);
  }
  const setting = String(issue?.path[0] ?? "");
  throw new SettingsError(setting, shown(input[setting]), issue?.message ?? "");
}

function wholeNumber(min: number, max: number): z.ZodInt {
  const allowed = `a whole number from ${min} to ${max}`;
  return z.int({ error: allowed }).min(min, allowed).max(max, allowed);
}

function shown(value: unknown): string {
  return value === undefined ? "not set" : JSON.stringify(value);
}
