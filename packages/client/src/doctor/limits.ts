// The same as in the schema of reports, `DOCTOR_LIMITS`, which would bring a schema library to the page. A test holds the two to each other.

export const MAX_EVENTS = 200;
export const MAX_CHANGES = 50;
export const MAX_GROUPS = 500;
export const MAX_MISSING = 50;
export const NAME_LENGTH = 64;
export const CODE_LENGTH = 64;
export const MESSAGE_LENGTH = 200;
export const URL_LENGTH = 300;
