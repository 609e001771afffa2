export { connect, type ConnectOptions, type TidemarkClient } from "./client.js";
export type { Delivery, Verdict } from "./delivery.js";
export type { OutgoingMessage } from "./outgoing-message.js";
export type { Published } from "./publish-frame.js";
export type { SubscribeOptions, SubscriptionEvent } from "./subscribe-options.js";
export type { Subscription } from "./subscription.js";
export { type StatusName, TidemarkError } from "./tidemark-error.js";
export type { BatchOptions, PublishedBatch } from "./unary-publish.js";
