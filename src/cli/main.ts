#!/usr/bin/env node
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { Command, Option } from "commander";
import { brokerAddress } from "./arguments.js";
import { addConfig } from "./config.js";
import { addClient } from "./client.js";
import { addDeadLetter } from "./dead-letter.js";
import { addEvent } from "./event.js";
import { addCompletion } from "./completion.js";
import { reportOf } from "./failure.js";
import { toldApart } from "./listener.js";
import { surviveBrokenPipes } from "./output.js";
import { addExplain } from "./explain.js";
import { addPeek } from "./peek.js";
import { addPublish } from "./publish.js";
import { addPull } from "./pull.js";
import { addQueue } from "./queue.js";
import { addSchedule } from "./schedule.js";
import { addServe } from "./serve.js";
import { addSettle } from "./settle.js";
import { addSubscribe } from "./subscribe.js";
import { addSubscriber } from "./subscriber.js";
import { paintFor } from "./terminal.js";
import { addTop } from "./top.js";
import { programVersion } from "./version.js";

const EXAMPLES = `
Examples:
  tidemark serve                                      start a broker on this machine
  tidemark subscribe orders --subscriber billing      in a second terminal
  tidemark publish orders order.created '{"id":42}'   in a third

tidemark <command> --help says more.`;

/** How a line about a failure begins. */
function alarm(text: string): string {
  return paintFor(process.stderr, process.env)("bad", text);
}

function program(): Command {
  const paint = paintFor(process.stdout, process.env);
  const command = new Command("tidemark")
    .description("A durable message broker that speaks gRPC.")
    .version(programVersion(), "-v, --version")
    .addOption(new Option("-a, --address <host:port>", "where the broker is").default("127.0.0.1:50051").env("TIDEMARK_ADDRESS").argParser(brokerAddress))
    .option("--json", "write results as lines of JSON, as in a pipe", false)
    .helpCommand(false)
    .showSuggestionAfterError()
    .showHelpAfterError("(--help says what it takes)")
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (text) => paint("strong", text),
      styleCommandText: (text) => paint("name", text),
      styleSubcommandText: (text) => paint("name", text),
      styleOptionText: (text) => paint("name", text),
      styleArgumentText: (text) => paint("name", text),
    })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, alarm("tidemark:"))) })
    .exitOverride()
    .addHelpText("after", EXAMPLES);
  addServe(command);
  addConfig(command);
  addPublish(command);
  addSubscribe(command);
  addPull(command);
  addSettle(command);
  addPeek(command);
  addQueue(command);
  addEvent(command);
  addSubscriber(command);
  addDeadLetter(command);
  addSchedule(command);
  addExplain(command);
  addClient(command);
  addTop(command);
  addCompletion(command);
  // As with the program itself: there is --help.
  for (const group of command.commands.filter(({ commands }) => commands.length > 0)) group.helpCommand(false);
  return command;
}

surviveBrokenPipes();
// What the transport has to say comes as an error, and goes out as one line of ours.
if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
try {
  await program().parseAsync(process.argv);
} catch (error) {
  const { exitCode, line } = reportOf(await toldApart(error));
  if (line !== undefined) process.stderr.write(`${alarm("tidemark:")} ${line}\n`);
  process.exitCode = exitCode;
}
