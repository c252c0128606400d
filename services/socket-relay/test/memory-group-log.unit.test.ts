import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { describeGroupLog } from './group-log.suite.ts';

describeGroupLog('memory', (limits, now) => createMemoryGroupLog({ ...limits, now }));
