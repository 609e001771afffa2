import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Cell, Figures, Measure } from "../measures/measure.js";
import type { Contestant } from "./contestant.js";

const PROGRAM = fileURLToPath(new URL("party-program.ts", import.meta.url));

/** What the report says of a contestant. */
export type ContestantFacts = Pick<Contestant, "name" | "versions" | "durability" | "isDurable">;

/** A measure as far as one party takes part in it: by name who has a cell in it. */
export interface PartyMeasure {
  readonly name: string;
  readonly figures: Measure["figures"];
  readonly lasts: number;
  readonly cells: readonly string[];
}

/** What a party says first. */
export interface PartyHello {
  /** Undefined: it is the bare limits of the stack. */
  readonly facts: ContestantFacts | undefined;
  /** All that there are, in order, also those without a cell of this party. */
  readonly measures: readonly PartyMeasure[];
}

/** What a party is told to do with one of its cells. Only a run is answered. */
export interface PartyOrder {
  readonly what: "resume" | "run" | "pause";
  readonly id: number;
  readonly measure: number;
  readonly cell: number;
  readonly ms: number;
}

export type PartyAnswer = { readonly hello: PartyHello } | { readonly failure: string; readonly id?: number } | { readonly figures: Figures; readonly id: number };

/**
 * One who is measured, server and client, with the client in a process of its own: a client library that makes the promises of its
 * process slower, or its heap larger, does so to itself alone.
 */
export class Party {
  private lastId = 0;
  private readonly waiting = new Map<number, { resolve: (figures: Figures) => void; reject: (error: Error) => void }>();

  private constructor(
    private readonly child: ChildProcess,
    readonly hello: PartyHello,
  ) {
    child.on("message", (answer: PartyAnswer) => {
      if ("hello" in answer || answer.id === undefined) return;
      const { resolve, reject } = this.waiting.get(answer.id) ?? {};
      this.waiting.delete(answer.id);
      if ("figures" in answer) resolve?.(answer.figures);
      else reject?.(new Error(answer.failure));
    });
    child.on("exit", () => {
      for (const { reject } of this.waiting.values()) reject(new Error("its process has ended"));
    });
  }

  /** Starts its server and connects its client. Rejects with what it says when that cannot be. */
  static async start(name: string, quick: boolean): Promise<Party> {
    const child = spawn(process.execPath, ["--import", "tsx", PROGRAM, name, String(quick)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const [answer] = (await Promise.race([once(child, "message"), once(child, "exit").then(() => [{ failure: `${name} ended before it was ready` }])])) as [PartyAnswer];
    if ("hello" in answer) return new Party(child, answer.hello);
    throw new Error("failure" in answer ? answer.failure : `${name} answers what it was not asked`);
  }

  /** Its cells of one measure. */
  cells(measure: number): readonly Cell[] {
    return (this.hello.measures[measure]?.cells ?? []).map((contestant, cell) => ({
      contestant,
      resume: () => {
        this.order({ what: "resume", measure, cell });
      },
      pause: () => {
        this.order({ what: "pause", measure, cell });
      },
      run: (ms) =>
        new Promise((resolve, reject) => {
          this.waiting.set(this.order({ what: "run", measure, cell, ms }), { resolve, reject });
        }),
    }));
  }

  /** Ends its client and its server. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const over = once(this.child, "exit");
    this.child.disconnect();
    await over;
  }

  private order(order: { readonly what: PartyOrder["what"]; readonly measure: number; readonly cell: number; readonly ms?: number }): number {
    const id = ++this.lastId;
    if (this.child.connected) this.child.send({ ms: 0, ...order, id } satisfies PartyOrder);
    return id;
  }
}

/** The measures of all parties, each with everybody's cells in the order of the parties; those that nobody has a cell in are left out. */
export function measuresOf(parties: readonly Pick<Party, "hello" | "cells">[]): readonly Measure[] {
  const [first] = parties;
  const all = (first?.hello.measures ?? []).map(({ name, figures, lasts }, i) => ({ name, figures, lasts, cells: parties.flatMap((party) => party.cells(i)) }));
  return all.filter(({ cells }) => cells.length > 0);
}
