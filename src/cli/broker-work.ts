import type { Command } from "commander";
import { connect, type TidemarkClient } from "../client/index.js";
import type { GlobalOptions } from "./arguments.js";
import { Output } from "./output.js";

/** Connects as the global options say, does one piece of work, and disconnects whatever came of it. */
export async function withBroker(command: Command, work: (client: TidemarkClient, output: Output) => Promise<void>): Promise<void> {
  const { address, json } = command.optsWithGlobals<GlobalOptions>();
  const client = connect(address, { patienceMs: 0, clientId: "tidemark-cli" });
  try {
    await work(client, new Output(json));
  } finally {
    await client.close();
  }
}
