export type { DoctorReport, DoctorVerdict } from '@groupcast/shared';
export { attachDoctor, type Doctor, type DoctorOptions } from './doctor.ts';
export type { SocketLike } from './watch-socket.ts';
