import type { Command } from "commander";
import type { ClientInfo } from "../client/index.js";
import { withBroker } from "./broker-work.js";
import { UsageError } from "./failure.js";
import { type Listing, writeList } from "./listing.js";
import { countText, timeText } from "./quantity.js";
import { printableLine } from "./terminal.js";

interface ListFlags {
  readonly queue?: string;
  readonly subscriber?: string;
}

const EXAMPLES = `
Examples:
  tidemark client list
  tidemark client list --queue orders --subscriber billing`;

/** `tidemark client`: shows who is connected. */
export function addClient(program: Command): void {
  const client = program.command("client").summary("list the programs that are connected").description("Look at the programs that have a Subscribe stream open.").addHelpText("after", EXAMPLES);
  client
    .command("list")
    .summary("who is connected, to which queue, and what it holds")
    .description("List the open sessions.")
    .option("-q, --queue <name>", "only those on this queue")
    .option("-s, --subscriber <name>", "only those of this subscriber; needs --queue")
    .action((flags: ListFlags, command: Command) => {
      if (flags.subscriber !== undefined && flags.queue === undefined) throw new UsageError("--subscriber names a subscriber of a queue; say which with --queue");
      return withBroker(command, (broker, output) => writeList(output, broker.admin.clients(flags.queue, flags.subscriber), CLIENTS));
    });
}

const CLIENTS: Listing<ClientInfo> = {
  json: clientJson,
  columns: [
    { title: "SESSION", tone: "dim", text: ({ sessionId }) => sessionId },
    { title: "CLIENT", tone: "strong", text: ({ clientId }) => (clientId === "" ? "-" : printableLine(clientId)) },
    { title: "PEER", text: ({ peer }) => printableLine(peer) },
    { title: "QUEUE", tone: "name", text: ({ queue }) => queue },
    { title: "SUBSCRIBER", text: ({ subscriber }) => (subscriber === "" ? "-" : subscriber) },
    { title: "ACKS", text: ({ ackMode }) => ackMode.toLowerCase() },
    { title: "IN FLIGHT", align: "right", text: ({ inFlightCount, maxInFlightMessages }) => `${countText(inFlightCount)}/${countText(maxInFlightMessages)}` },
    { title: "SINCE", text: ({ connectTime }) => timeText(connectTime) },
  ],
  none: "nobody is connected",
};

function clientJson(client: ClientInfo): object {
  return {
    session_id: client.sessionId,
    client_id: client.clientId,
    peer: client.peer,
    queue: client.queue,
    subscriber: client.subscriber,
    events: client.events,
    ack_mode: client.ackMode,
    in_flight_count: client.inFlightCount,
    max_in_flight_messages: client.maxInFlightMessages,
    ...(client.connectTime !== undefined && { connect_time: client.connectTime.toISOString() }),
    labels: client.labels,
  };
}
