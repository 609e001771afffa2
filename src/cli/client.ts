import type { Command } from "commander";
import type { ClientInfo, TidemarkClient } from "../client/index.js";
import { withBroker } from "./broker-work.js";
import { clientColumns, clientEventJson, clientEventLine, clientJson, clientName, shortSession } from "./client-view.js";
import { confirm, type ConfirmationFlags } from "./confirmation.js";
import { CommandFailure, UsageError } from "./failure.js";
import { untilInterrupted } from "./leaving.js";
import { writeList } from "./listing.js";
import type { Output } from "./output.js";
import { counted } from "./quantity.js";

interface WhichFlags {
  readonly queue?: string;
  readonly subscriber?: string;
}

interface DisconnectFlags extends ConfirmationFlags {
  readonly reason?: string;
}

const EXAMPLES = `
Examples:
  tidemark client list
  tidemark client list --queue orders --subscriber billing
  tidemark client watch                               who comes and goes, and why, until Ctrl-C
  tidemark client watch --json | jq -c 'select(.reason == "CONNECTION_LOST")'
  tidemark client disconnect 899473f8 --reason 'it hangs'`;

/** `tidemark client`: shows who is connected, once or live, and sends a client away. */
export function addClient(program: Command): void {
  const client = program
    .command("client")
    .summary("list, watch and disconnect the programs that are connected")
    .description("Look at the programs that have a Subscribe stream open, and send one away.")
    .addHelpText("after", EXAMPLES);
  withWhich(client.command("list"))
    .summary("who is connected, to which queue, and what it holds and waits for")
    .description("List the open sessions.")
    .action((flags: WhichFlags, command: Command) => {
      const { queue, subscriber } = checkWhich(flags);
      const listing = { json: clientJson, columns: clientColumns(new Date()), none: "nobody is connected" };
      return withBroker(command, (broker, output) => writeList(output, broker.admin.clients(queue, subscriber), listing));
    });
  withWhich(client.command("watch"))
    .summary("who comes, changes and goes, and why, as it happens")
    .description("Tell of every client that is there, comes, changes or goes, one line each, until Ctrl-C or until the broker stops.")
    .action((flags: WhichFlags, command: Command) => {
      const which = checkWhich(flags);
      return withBroker(command, (broker, output) => watch(broker, output, which));
    });
  client
    .command("disconnect")
    .summary("end the session of a client")
    .description("End a session. What it held goes to other clients at once. Nothing keeps the client from coming back.")
    .argument("<session>", "its id, or as much of its beginning as tells it from the others")
    .option("-r, --reason <words>", "what to tell the client, and who watches")
    .option("-y, --yes", "do not ask")
    .action((session: string, flags: DisconnectFlags, command: Command) => withBroker(command, (broker, output) => disconnect(broker, output, session, flags)));
}

function withWhich(command: Command): Command {
  return command.option("-q, --queue <name>", "only those on this queue").option("-s, --subscriber <name>", "only those of this subscriber; needs --queue");
}

function checkWhich(flags: WhichFlags): WhichFlags {
  if (flags.subscriber !== undefined && flags.queue === undefined) throw new UsageError("--subscriber names a subscriber of a queue; say which with --queue");
  return flags;
}

function watch(broker: TidemarkClient, output: Output, which: WhichFlags): Promise<void> {
  return untilInterrupted(async (signal) => {
    for await (const event of broker.admin.watchClients({ ...which, signal })) {
      const now = new Date();
      await output.line(output.isTerminal ? clientEventLine(event, now, output.paint) : JSON.stringify(clientEventJson(event, now)));
    }
  });
}

async function disconnect(broker: TidemarkClient, output: Output, session: string, flags: DisconnectFlags): Promise<void> {
  const client = await sessionNamed(broker, session);
  const where = client.subscriber === "" ? client.queue : `${client.queue}/${client.subscriber}`;
  const held = client.inFlightCount === 0 ? "" : ` with ${counted(client.inFlightCount, "message")} in flight`;
  const who = client.clientId === "" ? `the client at ${client.peer}` : clientName(client);
  await confirm(output, flags, `this disconnects ${who} from ${where}${held}`, "until it comes back");
  const last = await broker.admin.disconnectClient(client.sessionId, flags.reason);
  const { paint } = output;
  await output.line(output.isTerminal ? `${paint("good", "✔")} ${paint("strong", who)} is disconnected from ${where}` : JSON.stringify({ ...clientJson(last), disconnected: true }));
}

/** The one open session whose id begins like this. */
async function sessionNamed(broker: TidemarkClient, beginning: string): Promise<ClientInfo> {
  if (beginning === "") throw new UsageError(`the session is empty; "tidemark client list" shows those that there are`);
  const found: ClientInfo[] = [];
  for await (const client of broker.admin.clients()) if (client.sessionId.startsWith(beginning)) found.push(client);
  const [first, second] = found;
  if (first === undefined) throw new CommandFailure(`no open session begins with ${beginning}; "tidemark client list" shows those that there are`);
  if (second !== undefined) throw new CommandFailure(`${counted(found.length, "session")} begin with ${beginning}, such as ${shortSession(first)} and ${shortSession(second)}: say more of it`);
  return first;
}
