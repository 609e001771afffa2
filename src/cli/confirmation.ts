import { createInterface } from "node:readline";
import { CommandFailure, Interrupted, UsageError } from "./failure.js";
import type { Output } from "./output.js";

/** What a destructive command takes to go on without being asked. */
export interface ConfirmationFlags {
  readonly yes?: boolean;
}

/**
 * Asks before something that somebody may regret, unless --yes was given. Returns when the answer is yes; any other answer leaves
 * everything as it is and ends the command. Where nobody can be asked, --yes is required.
 *
 * @param loss what would be done, as a sentence without its end
 * @param howLong that end
 */
export async function confirm(output: Output, flags: ConfirmationFlags, loss: string, howLong = "for good"): Promise<void> {
  if (flags.yes === true) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new UsageError(`${loss}, ${howLong}; there is no terminal to ask at, so say --yes to go on`);
  const answer = await ask(`${output.paintNote("warning", `${loss}, ${howLong}.`)} Go on? [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure("nothing was changed");
}

/** Ctrl-C at the question is no answer, and neither is the end of the input. */
function ask(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve, reject) => {
    prompt.once("SIGINT", () => {
      process.stderr.write("\n");
      reject(new Interrupted());
      prompt.close();
    });
    prompt.once("close", () => resolve(""));
    prompt.question(question, (answer) => {
      resolve(answer);
      prompt.close();
    });
  });
}
