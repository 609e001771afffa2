import type { Command } from "commander";
import type { MessageExplanation, SubscriberExplanation, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import type { Output } from "./output.js";

const EXAMPLES = `
Examples:
  tidemark explain orders                             what each subscriber is waiting for
  tidemark explain orders --subscriber billing        what this one is waiting for
  tidemark explain orders 4711                        where this message stands with each subscriber
  tidemark explain orders 4711 --subscriber billing
  tidemark explain orders --json | jq -r 'select(.reasons[0] != "NOTHING_NEW").sentence'`;

interface ExplainFlags {
  readonly subscriber?: string;
}

/** `tidemark explain`: says why something does not come. */
export function addExplain(program: Command): void {
  program
    .command("explain")
    .summary("say why a message, or nothing at all, is delivered")
    .description("Say what the subscribers of a queue are waiting for, or where one message stands with them. Nothing is changed by asking.")
    .argument("<queue>", "the queue")
    .argument("[offset]", "a message; without it, the subscribers are explained", positiveInteger)
    .option("-s, --subscriber <name>", "only this subscriber")
    .addHelpText("after", EXAMPLES)
    .action((queue: string, offset: number | undefined, flags: ExplainFlags, command: Command) =>
      withBroker(command, (client, output) => (offset === undefined ? explainSubscribers(client, output, queue, flags) : explainMessage(client, output, queue, offset, flags))),
    );
}

async function explainMessage(client: TidemarkClient, output: Output, queue: string, offset: number, { subscriber = "" }: ExplainFlags): Promise<void> {
  const explanations = await client.admin.explainMessage(queue, offset, subscriber);
  if (explanations.length === 0) output.note(`queue ${queue} has no subscriber, so nobody waits for message ${offset}`);
  for (const told of explanations) {
    const words = explanations.length === 1 ? told.sentence : `${output.paint("strong", told.subscriber)}  ${told.sentence}`;
    await output.line(output.isTerminal ? words : JSON.stringify({ queue, offset, ...messageJson(told) }));
  }
}

async function explainSubscribers(client: TidemarkClient, output: Output, queue: string, { subscriber }: ExplainFlags): Promise<void> {
  let count = 0;
  for await (const name of subscriber === undefined ? names(client, queue) : [subscriber]) {
    const told = await client.admin.explainSubscriber(queue, name);
    count++;
    if (output.isTerminal) await writeSubscriber(output, told);
    else await output.line(JSON.stringify({ queue, subscriber: name, ...subscriberJson(told) }));
  }
  if (count === 0) output.note(`queue ${queue} has no subscriber; "tidemark subscribe ${queue} --subscriber <name>" makes one`);
}

async function* names(client: TidemarkClient, queue: string): AsyncIterable<string> {
  for await (const { name } of client.admin.subscribers(queue)) yield name;
}

async function writeSubscriber(output: Output, { sentence, clients, oldest }: SubscriberExplanation): Promise<void> {
  await output.line(sentence);
  if (oldest !== undefined) await output.line(output.paint("dim", `  ${oldest.explanation.sentence}`));
  for (const client of clients) await output.line(output.paint("dim", `  ${client.sentence}`));
}

function subscriberJson({ reasons, sentence, clients, committedOffset, headOffset, backlogCount, oldest, unsettled }: SubscriberExplanation): object {
  return {
    ...{ reasons, sentence, committed_offset: committedOffset, head_offset: headOffset, backlog_count: backlogCount },
    unsettled: { used: unsettled.messagesUsed, allowed: unsettled.messagesAllowed },
    clients: clients.map((client) => ({
      ...{ session_id: client.sessionId, client_id: client.clientId, waiting_for: client.waitingFor, sentence: client.sentence },
      window: { used: client.window.messagesUsed, allowed: client.window.messagesAllowed },
    })),
    ...(oldest !== undefined && { oldest: { offset: oldest.offset, ...messageJson(oldest.explanation) } }),
  };
}

function messageJson(told: MessageExplanation): object {
  const { holder, lane, window } = told;
  return {
    ...{ subscriber: told.subscriber, reason: told.reason, sentence: told.sentence },
    ...(told.attempt !== undefined && { attempt: told.attempt }),
    ...(told.deliveryCount !== undefined && { delivery_count: told.deliveryCount }),
    ...(told.lastReason !== "" && { last_reason: told.lastReason }),
    ...(holder && {
      holder: { session_id: holder.sessionId, client_id: holder.clientId, peer: holder.peer, delivery_time: holder.deliveryTime?.toISOString(), lease_left_ms: holder.leaseLeftMs },
    }),
    ...(told.retryTime && { retry_time: told.retryTime.toISOString() }),
    ...(lane && { lane: { ordering_key: lane.orderingKey, blocking_offset: lane.blockingOffset, blocking_reason: lane.blockingReason, blocked_by_poison: lane.blockedByPoison } }),
    ...(window && { window: { used: window.messagesUsed, allowed: window.messagesAllowed } }),
    ...(told.events.length > 0 && { events: told.events }),
    ...(told.expireTime && { expire_time: told.expireTime.toISOString() }),
    ...(told.settleTime && { settle_time: told.settleTime.toISOString() }),
    ...(told.resumeTime && { resume_time: told.resumeTime.toISOString() }),
    ...(told.aheadCount !== undefined && { ahead_count: told.aheadCount }),
    ...(told.deadLetterReason !== undefined && { dead_letter_reason: told.deadLetterReason }),
  };
}
