import { surroundings } from './surroundings.js';
import { work } from './work.js';

work(surroundings()).then(
  () => {
    console.log('groupcast works');
    process.exit();
  },
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
