import { connect } from "node:net";
import { TidemarkError } from "../client/index.js";
import { CommandFailure } from "./failure.js";

const LOOK_MS_MAX = 1_000;

/**
 * Tells an address where nothing is from one where something else is, such as a web server: both are NOT_CONNECTED to a client.
 * Any other failure comes back as it is.
 */
export async function toldApart(failure: unknown): Promise<unknown> {
  if (!(failure instanceof TidemarkError) || failure.reason !== "NOT_CONNECTED") return failure;
  const { address } = failure.metadata;
  if (address === undefined || !(await somethingListens(address))) return failure;
  return new CommandFailure(`something listens at ${address}, but it does not answer as a broker does: is the port right? "tidemark serve" says where it listens; name that with --address host:port`);
}

function somethingListens(address: string): Promise<boolean> {
  const [, host = "", port = ""] = /^\[?([^[\]/]+?)\]?:(\d+)$/.exec(address) ?? [];
  if (port === "") return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) });
    const answer = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.setTimeout(LOOK_MS_MAX, () => answer(false));
    socket.once("connect", () => answer(true));
    // Whatever the reason is, nothing could be reached, and that has been said.
    socket.once("error", () => answer(false));
  });
}
