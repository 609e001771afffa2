import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";

/** Node tells here of every socket that a server of this process accepts. */
const ACCEPTED = "net.server.socket";

/** What a call may know of the connection that it came over. */
export interface Connection {
  /** It broke, or one side closed it. Its calls hear of that afterwards. */
  readonly destroyed: boolean;
}

/**
 * The TCP connections of one port. grpc-js tells a handler that its call was cancelled, but not whether the client cancelled it
 * or its connection broke; the connection itself tells.
 */
export class Connections {
  private readonly sockets = new Map<string, Socket>();
  private port: number | undefined;

  /** Keeps the connections that come to this port of this process from now on. */
  watch(port: number): void {
    this.port = port;
    subscribe(ACCEPTED, this.accepted);
  }

  stop(): void {
    unsubscribe(ACCEPTED, this.accepted);
    this.sockets.clear();
  }

  /** The open connection from there; undefined when it is not known, as through a Unix socket. */
  from(peer: string): Connection | undefined {
    return this.sockets.get(peer);
  }

  private readonly accepted = (message: unknown): void => {
    const { socket } = message as { readonly socket?: unknown };
    if (!(socket instanceof Socket) || socket.localPort !== this.port) return;
    const peer = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
    this.sockets.set(peer, socket);
    socket.once("close", () => {
      if (this.sockets.get(peer) === socket) this.sockets.delete(peer);
    });
  };
}
