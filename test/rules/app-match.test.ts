import { describe, expect, it } from 'vitest';
import { APP_TYPES, APPS } from '../../rules/apps.ts';
import { parseRules } from '../../rules/parse.ts';
import { fileOf, matchesOf } from './rules.ts';

describe('an application', () => {
  it.each(APPS)('%s can be asked for, and against', (app) => {
    expect(matchesOf(`app ${app}`)).toEqual([{ kind: 'app', app, types: null, negated: false }]);
    expect(matchesOf(`app == ${app}`)).toEqual(matchesOf(`app ${app}`));
    expect(matchesOf(`app != ${app}`)).toEqual([{ kind: 'app', app, types: null, negated: true }]);
  });

  const typed = APPS.flatMap((app) =>
    Object.entries(APP_TYPES[app] ?? {}).map(([name, type]) => ({ app, name, type })),
  );
  it.each(typed)('$app type $name is message type $type', ({ app, name, type }) => {
    expect(type).toBeGreaterThanOrEqual(1);
    expect(type).toBeLessThanOrEqual(31);
    expect(matchesOf(`app ${app} type ${name}`)).toEqual([{ kind: 'app', app, types: [type], negated: false }]);
  });

  it('several types are a set, without order or repetition', () => {
    const types = [1, 3];
    expect(matchesOf('app bgp type { notification, open, notification, }')).toMatchObject([{ types, negated: false }]);
    expect(matchesOf('app bgp type == { open, notification }')).toMatchObject([{ types, negated: false }]);
  });

  it('of none of these types', () => {
    expect(matchesOf('app bgp type != keepalive')).toMatchObject([{ app: 'bgp', types: [4], negated: true }]);
    expect(matchesOf('app bgp type != { update, keepalive }')).toMatchObject([{ types: [2, 4], negated: true }]);
  });

  it('stands among other matches', () => {
    const matches = matchesOf('tcp dport 179 app bgp type { open,\n keepalive } ip ttl 1');
    expect(matches.map(({ kind }) => kind)).toEqual(['field', 'app', 'field']);
  });

  it.each(APPS.filter((app) => APP_TYPES[app] === undefined))('%s has no types', (app) => {
    const { errors } = parseRules(fileOf(`app ${app} type request pass`), 'x');
    expect(errors.map(({ code, line }) => [code, line])).toEqual([['syntax', 4]]);
  });

  it('each unknown type of a set is reported', () => {
    const { errors } = parseRules(fileOf('app bgp type { opn, open, 5 } pass'), 'x');
    expect(errors.map(({ code, column }) => [code, column])).toEqual([
      ['unknown-app-type', 16],
      ['unknown-app-type', 27],
    ]);
  });
});
