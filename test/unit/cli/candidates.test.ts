import { expect } from "chai";
import { Argument, Command, Option } from "commander";
import { candidates, type NameKind, type NameSource } from "../../../src/cli/candidates.js";

/** A program with one of everything that a command line can hold. */
function program(): Command {
  const root = new Command("tool").helpCommand(false).option("-a, --address <host:port>", "where").option("--json", "for programs");
  const queue = root.command("queue").summary("queues");
  queue.command("show").summary("one").argument("<queue>", "which");
  queue.command("create").summary("make one").argument("<name>", "its name");
  root.command("read").summary("read it").argument("<queue>", "which").argument("[events...]", "which events")
    .option("-s, --subscriber <name>", "who").option("-f, --file <path>", "whereto").option("--from <where>", "since when")
    .addOption(new Option("--mode <mode>", "how").choices(["fast", "safe"])).addOption(new Option("--secret", "x").hideHelp());
  root.command("put").summary("store").argument("<queue>", "where").argument("<payload>", "what");
  root.command("clients").summary("who").option("-q, --queue <name>", "of which").option("-s, --subscriber <name>", "of whom");
  root.command("end").summary("send away").argument("<session>", "which");
  root.command("shell").summary("script").addArgument(new Argument("<shell>", "which").choices(["bash", "zsh"]));
  root.command("inner", { hidden: true });
  return root;
}

const NAMES: Readonly<Record<NameKind, readonly string[]>> = { queue: ["orders", "offers", "stock"], subscriber: ["billing"], session: ["ab12"], event: ["order.created"] };

const names: NameSource = {
  names: (kind, queue) => Promise.resolve(NAMES[kind].map((word) => ({ word, about: queue === undefined ? "" : `of ${queue}` }))),
};

describe("the candidates for a command line", () => {
  const cases: [string, string[], string[]][] = [
    ["are the commands at first, without hidden ones", [""], ["queue", "read", "put", "clients", "end", "shell"]],
    ["are the commands where there is no word yet", [], ["queue", "read", "put", "clients", "end", "shell"]],
    ["begin like what is typed", ["re"], ["read"]],
    ["are subcommands behind a command", ["queue", ""], ["show", "create"]],
    ["are none behind a command that there is not", ["quark", ""], []],
    ["are names of queues where a queue is asked for", ["queue", "show", "o"], ["orders", "offers"]],
    ["are none where a new name is asked for", ["queue", "create", ""], []],
    ["are names of events, as many as the command takes", ["read", "orders", "a.b", "or"], ["order.created"]],
    ["are none for arguments that nobody can list", ["put", "orders", ""], []],
    ["are none behind the last argument", ["queue", "show", "orders", ""], []],
    ["are flags of the command and of the program, without hidden ones", ["read", "orders", "-"], ["--subscriber", "--file", "--from", "--mode", "--help", "--address", "--json"]],
    ["are names behind a flag that wants one", ["read", "orders", "-s", ""], ["billing"]],
    ["are names of sessions", ["end", "a"], ["ab12"]],
    ["are the choices of a flag", ["read", "--mode", "f"], ["fast"]],
    ["are whole words behind an equals sign", ["read", "--mode=s"], ["--mode=safe"]],
    ["are usual values of a flag that takes others too", ["read", "--from", ""], ["earliest", "latest"]],
    ["are the choices of an argument", ["shell", ""], ["bash", "zsh"]],
    ["are paths where a file is asked for", ["read", "--file", "./x"], [":paths"]],
    ["are paths behind an equals sign too", ["read", "--file=./x"], [":paths"]],
    ["pass over the values of flags", ["-a", "queue", "re"], ["read"]],
    ["pass over flags that there are not", ["--nonsense", "re"], ["read"]],
    ["are no flags behind a double hyphen", ["read", "--", "-"], []],
  ];
  for (const [name, words, expected] of cases) {
    it(name, async () => {
      expect((await candidates(program(), words, names)).map(({ word }) => word)).to.deep.equal(expected);
    });
  }

  it("say what they are", async () => {
    expect(await candidates(program(), ["qu"], names)).to.deep.equal([{ word: "queue", about: "queues" }]);
  });

  it("ask for the subscribers of the queue that the line names", async () => {
    expect(await candidates(program(), ["read", "stock", "-s", ""], names)).to.deep.equal([{ word: "billing", about: "of stock" }]);
    expect(await candidates(program(), ["clients", "-q", "stock", "-s", ""], names)).to.deep.equal([{ word: "billing", about: "of stock" }]);
    expect(await candidates(program(), ["clients", "-s", ""], names)).to.deep.equal([{ word: "billing", about: "" }]);
  });
});
