/** How a consumer says that it is done: message by message as the application handles them, or once for a batch of them. */
export type AckStyle = "each" | "batch";

/** How many messages one acknowledgement covers in the style "batch", for everybody. */
export const ACK_BATCH = 100;

/** What a consumer asks for. */
export interface ConsumeOptions {
  /** A name of its own: every consumer with another name gets every message. */
  readonly subscriber: string;
  readonly acks: AckStyle;
  /** Told of every message, in the order of arrival. The acknowledgement follows when it returns. */
  readonly onMessage: (payload: Uint8Array) => void;
}

/** A consumer at work. */
export interface Consumer {
  /** Stops it; resolves when its last acknowledgements are on their way. */
  stop(): Promise<void>;
}

/** A queue of a contestant, made for one cell. */
export interface Topic {
  /** Resolves when the broker has answered that the message is stored as its durability says. */
  publish(payload: Buffer): Promise<unknown>;
  /** Makes a subscriber who gets what is published from here on; where the queue keeps what was read, from its beginning on. */
  register(subscriber: string): Promise<void>;
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** Forgets the queue with everything in it. */
  drop(): Promise<void>;
}

/** A broker with the Node client that its makers recommend. Both are started by `start` of its file, and end with `stop`. */
export interface Contestant {
  /** As the tables call it. */
  readonly name: string;
  /** Of server and client. */
  readonly versions: string;
  /** What an answered publish is worth, in a few words. */
  readonly durability: string;
  /** False: an answer does not mean that the message is on disk; it is measured for comparison only. */
  readonly isDurable: boolean;
  /** Whether a queue keeps what all its subscribers have read: one backlog then serves every run. */
  readonly keepsRead: boolean;
  /** Whether it flushes for each message by itself, which bounds it to some thousand messages a second. */
  readonly syncsAlone: boolean;
  topic(name: string): Promise<Topic>;
  /** Freezes the server while another one is measured. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** How to get a contestant that is not on this machine. */
export class NotInstalled extends Error {
  override readonly name = "NotInstalled";
}
