import type { ClientEvent, ClientInfo } from "../client/index.js";
import { ageText, counted, countText, timeOfDay } from "./quantity.js";
import type { Column } from "./table.js";
import { type Paint, printableLine, type Tone } from "./terminal.js";

/** As much of a session id as people need: what they see is enough to name it. */
const SESSION_CHARACTERS = 8;

export function shortSession({ sessionId }: Pick<ClientInfo, "sessionId">): string {
  return sessionId.slice(0, SESSION_CHARACTERS);
}

/** The name that a program gave itself. */
export function clientName({ clientId }: ClientInfo): string {
  return clientId === "" ? "-" : printableLine(clientId);
}

/** Why nothing comes to a client, in small letters; "-" when something is on its way. */
export function waitingText({ kind, paused, waitingFor, standby, draining }: ClientInfo): string {
  if (draining) return "draining";
  if (kind === "PULL" && paused) return "the next pull";
  if (standby) return "standby";
  return waitingFor === "" ? "-" : words(waitingFor);
}

/** Columns of a list of clients, about 115 characters wide with names of usual length. */
export function clientColumns(now: Date): readonly Column<ClientInfo>[] {
  return [
    { title: "SESSION", tone: "dim", text: shortSession },
    { title: "CLIENT", tone: "strong", text: clientName },
    { title: "PEER", text: ({ peer }) => printableLine(peer) },
    { title: "QUEUE", tone: "name", text: ({ queue }) => queue },
    { title: "SUBSCRIBER", text: ({ subscriber }) => (subscriber === "" ? "-" : subscriber) },
    { title: "ACKS", text: ({ ackMode, kind }) => (kind === "PULL" ? "pull" : ackMode.toLowerCase()) },
    { title: "IN FLIGHT", align: "right", text: ({ inFlightCount, maxInFlightMessages }) => `${countText(inFlightCount)}/${countText(maxInFlightMessages)}` },
    { title: "LAG", align: "right", text: ({ backlogCount }) => countText(backlogCount) },
    { title: "WAITING FOR", text: waitingText },
    { title: "SINCE", align: "right", text: ({ connectTime }) => ageText(connectTime, now) },
  ];
}

export function clientJson(client: ClientInfo): object {
  return {
    session_id: client.sessionId,
    kind: client.kind,
    client_id: client.clientId,
    peer: client.peer,
    queue: client.queue,
    subscriber: client.subscriber,
    events: client.events,
    ack_mode: client.ackMode,
    sharing: client.sharing,
    standby: client.standby,
    draining: client.draining,
    paused: client.paused,
    in_flight_count: client.inFlightCount,
    max_in_flight_messages: client.maxInFlightMessages,
    in_flight_bytes: client.inFlightBytes,
    max_in_flight_bytes: client.maxInFlightBytes,
    backlog_count: client.backlogCount,
    ...(client.waitingFor !== "" && { waiting_for: client.waitingFor }),
    ...(client.connectTime !== undefined && { connect_time: client.connectTime.toISOString() }),
    ...(client.lastFrameTime !== undefined && { last_frame_time: client.lastFrameTime.toISOString() }),
    labels: client.labels,
    user_agent: client.userAgent,
  };
}

/** An event of a watch, for programs. */
export function clientEventJson(event: ClientEvent, now: Date): object {
  const head = { type: event.type, time: now.toISOString() };
  switch (event.type) {
    case "listed":
      return { ...head, client_count: event.clientCount };
    case "left": {
      const { reason, detail, time } = event;
      return { ...head, reason, ...(detail !== "" && { detail }), ...(time !== undefined && { leave_time: time.toISOString() }), client: clientJson(event.client) };
    }
    default:
      return { ...head, client: clientJson(event.client) };
  }
}

const EVENT_TONES: Readonly<Record<"joined" | "changed" | "left", Tone>> = { joined: "good", changed: "name", left: "warning" };
const EVENT_COLUMNS = "changed".length;

/** Ways of going that are nobody's trouble. */
const ORDERLY: ReadonlySet<string> = new Set(["HALF_CLOSED", "DRAINED", "STOP_REACHED", "CANCELLED", "LEASES_OVER"]);

/** An event of a watch, for people: one line. */
export function clientEventLine(event: ClientEvent, now: Date, paint: Paint): string {
  if (event.type === "listed") return paint("dim", `${timeOfDay(now)}  ${counted(event.clientCount, "client")} connected; news follow · Ctrl-C leaves`);
  const { client, type } = event;
  const where = client.subscriber === "" ? client.queue : `${client.queue}/${client.subscriber}`;
  const parts = [
    paint("dim", timeOfDay((type === "left" ? event.time : undefined) ?? now)),
    paint(EVENT_TONES[type], type.padEnd(EVENT_COLUMNS)),
    paint("dim", shortSession(client)),
    paint("strong", clientName(client)),
    printableLine(client.peer),
    paint("name", where),
    type === "left" ? leftText(event, paint) : stateText(client),
  ];
  return parts.join("  ");
}

/** Why a client is gone, with what it leaves behind. */
export function leftText({ client, reason, detail }: Extract<ClientEvent, { type: "left" }>, paint: Paint): string {
  const why = `${words(reason)}${detail === "" ? "" : `: ${printableLine(detail)}`}`;
  const held = client.inFlightCount === 0 ? "" : `, with ${counted(client.inFlightCount, "message")} in flight`;
  return paint(ORDERLY.has(reason) ? "plain" : "bad", `${why}${held}`);
}

function stateText(client: ClientInfo): string {
  const events = client.events.length === 0 ? "every event" : client.events.join(" ");
  const states = [client.standby && "standby", client.draining && "draining", client.paused && "paused"].filter((state) => state !== false);
  return [events, `window ${countText(client.maxInFlightMessages)}`, ...states].join(", ");
}

function words(name: string): string {
  return name.toLowerCase().replaceAll("_", " ");
}
