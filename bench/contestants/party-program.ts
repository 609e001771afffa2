/**
 * The process of one party: its client, and whatever server it starts. Says which cells it has and runs them as it is told. Started
 * by `Party`; ends with the channel to whoever started it.
 */
import { startLimits } from "../limits/limits.js";
import { FULL, type Parties, plan, QUICK } from "../plan.js";
import { startNats } from "./nats.js";
import type { PartyAnswer, PartyOrder } from "./party.js";
import { startRabbitmq } from "./rabbitmq.js";
import { startRedis } from "./redis.js";
import { startTidemark } from "./tidemark.js";

const START: Readonly<Record<string, () => Promise<Parties>>> = {
  tidemark: async () => ({ tidemark: await startTidemark() }),
  nats: async () => ({ peer: await startNats("always") }),
  "nats-default": async () => ({ peer: await startNats("default") }),
  redis: async () => ({ peer: await startRedis() }),
  rabbitmq: async () => ({ peer: await startRabbitmq() }),
  limits: async () => ({ limits: await startLimits() }),
};

const [, , name = "", quick = ""] = process.argv;

// Its servers are ended when it exits.
process.on("disconnect", () => {
  process.exit(0);
});

function answer(text: PartyAnswer): void {
  process.send?.(text);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

try {
  const start = START[name];
  if (start === undefined) throw new Error(`there is no party ${name}; there are ${Object.keys(START).join(", ")}`);
  const parties = await start();
  const contestant = parties.tidemark ?? parties.peer;
  contestant?.pause();
  const measures = plan(parties, quick === "true" ? QUICK : FULL);
  process.on("message", ({ what, id, measure, cell: index, ms }: PartyOrder) => {
    const cell = measures[measure]?.cells[index];
    if (cell === undefined) throw new Error(`${name} has no cell ${index} in measure ${measure}`);
    if (what === "run") {
      cell.run(ms).then(
        (figures) => {
          answer({ figures, id });
        },
        (error: unknown) => {
          answer({ failure: messageOf(error), id });
        },
      );
    } else {
      cell[what]();
    }
  });
  const facts = contestant && { name: contestant.name, versions: contestant.versions, durability: contestant.durability, isDurable: contestant.isDurable };
  answer({ hello: { facts, measures: measures.map(({ name: title, figures, lasts = 1, cells }) => ({ name: title, figures, lasts, cells: cells.map(({ contestant: who }) => who) })) } });
} catch (error) {
  answer({ failure: messageOf(error) });
  process.disconnect();
}
