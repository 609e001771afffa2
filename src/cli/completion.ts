import { Argument, type Command } from "commander";
import { connect, TidemarkError, type TidemarkClient } from "../client/index.js";
import { type Candidate, candidates, type NameKind, type NameSource } from "./candidates.js";
import { completionScript, type Shell, SHELLS } from "./completion-scripts.js";
import { Output } from "./output.js";
import { counted } from "./quantity.js";
import { printableLine } from "./terminal.js";

/** What a person at a prompt waits for names; then there are none. */
const NAMES_MS_MAX = 1_000;

/** More than these help nobody at a prompt. */
const NAMES_MAX = 1_000;

const EXAMPLES = `
Examples:
  source <(tidemark completion bash)                  in this shell; in ~/.bashrc for all to come
  source <(tidemark completion zsh)                   the same, in ~/.zshrc behind compinit
  tidemark completion fish | source                   the same, in ~/.config/fish/config.fish

Commands, flags and their values are completed, and the names of queues, subscribers, events and sessions, for which the
broker is asked. Without a broker there are no names, and nothing waits.`;

/** `tidemark completion`, which prints a script for a shell, and `tidemark complete`, which that script asks. */
export function addCompletion(program: Command): void {
  program
    .command("completion")
    .summary("print what makes a shell complete the words of tidemark")
    .description("Print a script that makes a shell complete commands, flags and names with the tab key.")
    .addArgument(new Argument("<shell>", "which shell").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell));
    });
  program
    .command("complete", { hidden: true })
    .description("Print how the last of these words can go on: a candidate a line, a tab, and what it is.")
    .argument("[words...]", "the words behind tidemark, the last one unfinished; after --")
    .action(async (words: string[]) => {
      const output = new Output(false);
      const found = await candidates(program, words, new BrokerNames(addressIn(program, words)));
      for (const { word, about } of found) await output.line(`${printableLine(word)}\t${printableLine(about)}`.trimEnd());
    });
}

/** Where the unfinished line would look for a broker. */
function addressIn(program: Command, words: readonly string[]): string {
  const at = words.findIndex((word) => word === "-a" || word === "--address");
  const said = at === -1 ? words.find((word) => word.startsWith("--address="))?.slice("--address=".length) : words[at + 1];
  return said ?? program.opts<{ address: string }>().address;
}

/** Names as the broker has them now. Silent where there is none or where it is slow: a prompt is no place for errors. */
class BrokerNames implements NameSource {
  constructor(private readonly address: string) {}

  async names(kind: NameKind, queue: string | undefined): Promise<readonly Candidate[]> {
    const client = connect(this.address, { patienceMs: 0, clientId: "tidemark-completion" });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly Candidate[]>((resolve) => {
      timer = setTimeout(resolve, NAMES_MS_MAX, []);
    });
    try {
      return await Promise.race([listed(client, kind, queue), late]);
    } catch (error) {
      if (error instanceof TidemarkError) return [];
      throw error;
    } finally {
      clearTimeout(timer);
      await client.close();
    }
  }
}

async function listed(client: TidemarkClient, kind: NameKind, queue: string | undefined): Promise<readonly Candidate[]> {
  switch (kind) {
    case "queue":
      return gather(client.admin.queues(), ({ name, ordering }) => ({ word: name, about: ordering.toLowerCase() }));
    case "subscriber":
      if (queue === undefined) return [];
      return gather(client.admin.subscribers(queue), ({ name, events }) => ({ word: name, about: events.join(" ") }));
    case "event":
      if (queue === undefined) return [];
      return gather(client.admin.events(queue), ({ event, messageCount }) => ({ word: event, about: counted(messageCount, "message") }), ({ event }) => !event.startsWith("("));
    case "session":
      return gather(client.admin.clients(), ({ sessionId, clientId, queue: at }) => ({ word: sessionId, about: `${clientId} on ${at}` }));
  }
}

async function gather<Row>(rows: AsyncIterable<Row>, candidateOf: (row: Row) => Candidate, isName: (row: Row) => boolean = () => true): Promise<readonly Candidate[]> {
  const found: Candidate[] = [];
  for await (const row of rows) {
    if (isName(row)) found.push(candidateOf(row));
    if (found.length >= NAMES_MAX) break;
  }
  return found;
}
