/** @returns the middle value; of an even number the upper one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/**
 * Times several tasks in turn, round after round: whatever else the machine does then hits all of them alike. One more
 * round goes before, so that the compiler is done. CPU time, because other programs do not stretch it as they stretch
 * the time on the wall; a task takes some milliseconds, or the clock is too coarse.
 * @param tasks each does its work `perRun` times
 * @returns for each task the median of its times, ns per piece of work
 */
export function interleaved(rounds: number, tasks: readonly { readonly perRun: number; run(): void }[]): number[] {
  const times = tasks.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    tasks.forEach((task, i) => {
      const before = process.cpuUsage();
      task.run();
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) times[i]!.push(((user + system) * 1e3) / task.perRun);
    });
  }
  return times.map(median);
}
