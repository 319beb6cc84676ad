import { createReadStream } from 'node:fs';
import { fromNft } from '../../rules/from-nft.ts';
import { inputName, MAX_RULE_BYTES, whyUnreadable } from '../../rules/load.ts';
import { NftImportError } from '../../rules/nft-chain.ts';
import { EXIT, Failure } from './failure.ts';
import { Output } from './output.ts';
import { printable } from './table.ts';

/** `holdfast rules from-nft`. @returns the exit code: 1 where something was not taken */
export async function rulesFromNft(path: string, chain: string | null, json: boolean): Promise<number> {
  const name = inputName(path);
  const text = await readText(path, name);
  try {
    const { text: made, chain: taken, rules, taken: count, notTaken } = fromNft(text, chain);
    const output = new Output();
    if (json) output.line(JSON.stringify({ chain: taken, taken: count, notTaken, rules, text: made }));
    else output.write(made);
    output.flush();
    if (!json) {
      for (const { line, text: source, reason } of notTaken) {
        process.stderr.write(`${name}:${line}: not taken: ${printable(source)}: ${printable(reason)}\n`);
      }
      process.stderr.write(
        `${name}: chain '${taken}': ${count} rule${count === 1 ? '' : 's'} taken, ${notTaken.length} not taken\n`,
      );
    }
    return notTaken.length === 0 ? EXIT.ok : EXIT.no;
  } catch (error) {
    throw error instanceof NftImportError ? new Failure(`${name}: ${error.message}`) : error;
  }
}

async function readText(path: string, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
      bytes += chunk.length;
      if (bytes > MAX_RULE_BYTES) throw new Failure(`${name}: larger than ${MAX_RULE_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`cannot read ${name}: ${whyUnreadable(error)}`);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}
