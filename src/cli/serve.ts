import type { Command } from "commander";
import type { ServeSettings } from "../config/serve-settings.js";
import { CommandFailure, EXIT } from "./failure.js";
import { addSettingFlags, readSettings, type SettingFlags } from "./settings.js";

const EXAMPLES = `
Examples:
  tidemark serve                                      127.0.0.1:50051, messages in ./data
  tidemark serve --listen 127.0.0.1:6000 --data /var/lib/tidemark
  tidemark serve --memory                             for a try: everything is gone at the end
  tidemark serve --config server.json                 settings from a file; "tidemark config" shows what holds

SIGTERM or Ctrl-C stops it: clients are told, running work is finished, exit code 0 within 10 s. A second one ends it at once.`;

/** `tidemark serve`: runs the broker until it is told to stop. */
export function addServe(program: Command): void {
  const command = program.command("serve").summary("run the broker");
  addSettingFlags(command.description("Run the broker. One server per data directory."))
    .addHelpText("after", EXAMPLES)
    .action(async (flags: SettingFlags) => {
      await serve((await readSettings(flags)).settings);
    });
}

/** Serves until a signal or a failure, then ends the process: nothing that lingers may keep it. */
async function serve(settings: ServeSettings): Promise<void> {
  // Loaded when it is needed: publishing from a shell must not load a server.
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
