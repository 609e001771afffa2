import { MemoryEngine } from "../../src/engines/memory/memory-engine.js";
import { describeEngine } from "./engine-compliance.js";

describeEngine("memory", () => {
  let engine = new MemoryEngine();
  const restart = async (): Promise<MemoryEngine> => {
    await engine.close();
    engine = new MemoryEngine(engine.disk);
    return engine;
  };
  return Promise.resolve({
    engine,
    restart,
    damage: (queue, first, part) => {
      engine.disk.corrupt(queue, first, part);
      return restart();
    },
    end: () => engine.close(),
  });
});
