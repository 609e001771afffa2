import { type Command, InvalidArgumentError, Option } from "commander";
import type { ServeSettings } from "../config/serve-settings.js";
import { CommandFailure, EXIT, UsageError } from "./failure.js";

interface ServeFlags {
  readonly listen?: string;
  readonly data?: string;
  readonly memory?: boolean;
  readonly insecureAllowRemote?: boolean;
  readonly logLevel?: string;
  readonly autoCreate: boolean;
  readonly minFreeDisk?: number;
  readonly shutdownGrace?: number;
}

/** By setting, the flag that says it: errors speak of what was typed. */
const FLAGS: Readonly<Record<string, string>> = {
  listen: "--listen",
  dataDirectory: "--data",
  engine: "--memory",
  insecureAllowRemote: "--insecure-allow-remote",
  logLevel: "--log-level",
  autoCreateQueues: "--no-auto-create",
  freeDiskBytesMin: "--min-free-disk",
  shutdownGraceMs: "--shutdown-grace",
};

const EXAMPLES = `
Examples:
  tidemark serve                                      127.0.0.1:50051, messages in ./data
  tidemark serve --listen 127.0.0.1:6000 --data /var/lib/tidemark
  tidemark serve --memory                             for a try: everything is gone at the end

SIGTERM or Ctrl-C stops it: clients are told, running work is finished, exit code 0 within 10 s. A second one ends it at once.`;

/** `tidemark serve`: runs the broker until it is told to stop. */
export function addServe(program: Command): void {
  program
    .command("serve")
    .summary("run the broker")
    .description("Run the broker. One server per data directory.")
    .option("-l, --listen <address>", "host:port, [ipv6]:port or unix:path; port 0 chooses a free one (default: 127.0.0.1:50051)")
    .option("-d, --data <directory>", "where the messages are stored; made if it is not there (default: ./data)")
    .option("-m, --memory", "keep messages in memory only: everything is gone with the process")
    .option("--insecure-allow-remote", "allow an address that other machines can reach, though nobody is authenticated")
    .addOption(new Option("--log-level <level>", "the least grave log entries to write (default: info)").choices(["info", "warn", "error", "silent"]))
    .option("--no-auto-create", "do not make queues when they are first named")
    .option("--min-free-disk <bytes>", "refuse to publish below so much free disk (default: 536870912)", wholeNumber)
    .option("--shutdown-grace <seconds>", "how long a stop waits for clients, at most 8 (default: 5)", decimal)
    .addHelpText("after", EXAMPLES)
    .action(async (flags: ServeFlags) => {
      await serve(await settingsOf(flags));
    });
}

async function settingsOf(flags: ServeFlags): Promise<ServeSettings> {
  // Here and below loaded when they are needed: publishing from a shell must not load a server.
  const { parseServeSettings, SettingsError } = await import("../config/serve-settings.js");
  const said: Record<string, unknown> = {
    listen: flags.listen,
    dataDirectory: flags.data,
    engine: flags.memory === true ? "memory" : undefined,
    insecureAllowRemote: flags.insecureAllowRemote,
    logLevel: flags.logLevel,
    autoCreateQueues: flags.autoCreate ? undefined : false,
    freeDiskBytesMin: flags.minFreeDisk,
    shutdownGraceMs: flags.shutdownGrace === undefined ? undefined : Math.round(flags.shutdownGrace * 1_000),
  };
  try {
    return parseServeSettings(Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const allowed = error.allowed.replace("insecureAllowRemote", "--insecure-allow-remote");
    throw new UsageError(`${FLAGS[error.setting] ?? error.setting} is ${error.value}; allowed: ${allowed}`);
  }
}

/** Serves until a signal or a failure, then ends the process: nothing that lingers may keep it. */
async function serve(settings: ServeSettings): Promise<void> {
  const { startServer } = await import("../main.js");
  const server = await startServer(settings).catch((error: unknown) => {
    throw startFailure(error);
  });
  let stopping = false;
  const told = new Promise<"told">((resolve) => {
    const onSignal = (): void => {
      if (stopping) process.exit(EXIT.interrupted);
      stopping = true;
      resolve("told");
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  });
  const failure = await Promise.race([told, server.failed]);
  if (failure !== "told") {
    process.stderr.write(`tidemark: the broker stopped itself: ${failure.message}; see the log above, mend the cause, and start it again\n`);
    process.exit(EXIT.failure);
  }
  await server.stop();
  process.exit(EXIT.ok);
}

/** A server that cannot start says why in one line; a bug keeps its stack. */
function startFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return error;
  return new CommandFailure(`cannot serve: ${error.message}`);
}

function wholeNumber(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

function decimal(text: string): number {
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text)) throw new InvalidArgumentError("It must be a number of seconds.");
  return Number(text);
}
