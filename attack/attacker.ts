// A process that attacks, so that its computing takes no time from the measurement.
import { ATTACKS } from './attacks.ts';
import { type Address, attackFromAddress } from './weapons.ts';

process.on('message', ({ name, address, from }: { name: string; address: Address; from?: string }) => {
  attackFromAddress(from);
  const attack = ATTACKS.find((each) => each.name === name);
  if (!attack) throw new Error(`there is no attack "${name}"`);
  attack
    .run(address)
    .catch((error: unknown) => ({ [`failed: ${error instanceof Error ? error.message : String(error)}`]: 1 }))
    .then((answers) => {
      process.send?.(answers);
    }, console.error);
});
// It ends with the process that started it.
process.on('disconnect', () => process.exit());
