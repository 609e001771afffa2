/**
 * A process beside the one that measures: prepares something that costs a broker much, begins with it and ends it, as it is told.
 * Started by `Neighbour`; ends with the channel to whoever started it.
 */
import { connect } from "../../src/client/index.js";
import type { NeighbourAnswer, NeighbourOrder } from "./neighbour.js";
import { type Act, actOf } from "./neighbour-acts.js";

const [, , address = ""] = process.argv;
const client = connect(address);
const acts = new Map<string, Act>();
let startedMs = 0;
let startedCpu = process.cpuUsage();

process.on("message", (order: NeighbourOrder) => {
  obey(order).then(answer, (error: unknown) => {
    answer({ failure: String(error), cpuShare: 0 });
  });
});
process.on("disconnect", () => {
  process.exit(0);
});

async function obey({ what, act: name, cpuShare }: NeighbourOrder): Promise<NeighbourAnswer> {
  const key = `${name} ${cpuShare}`;
  const act = acts.get(key) ?? actOf(name, { client, address, share: cpuShare });
  acts.set(key, act);
  if (what === "prepare") await act.prepare();
  if (what === "start") {
    startedMs = performance.now();
    startedCpu = process.cpuUsage();
    act.start();
  }
  if (what === "stop") await act.stop();
  const { user, system } = process.cpuUsage(startedCpu);
  return { failure: undefined, cpuShare: (user + system) / 1_000 / (performance.now() - startedMs) };
}

function answer(text: NeighbourAnswer): void {
  process.send?.(text);
}
