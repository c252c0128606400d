import { attachDoctor, type Doctor } from '@groupcast/client/doctor';
import { io, type Socket } from 'socket.io-client';

/** The parts of the page that the test asks for. */
export interface DoctorPage {
  socket: Socket;
  doctor: Doctor;
}

const fragment = new URLSearchParams(location.hash.slice(1));
const socket = io(fragment.get('relay') ?? '', { auth: { token: fragment.get('token') }, reconnectionDelay: 100 });
const doctor = attachDoctor(socket);
socket.on('new-message', ({ content }: { content: string }) => {
  document.querySelector('#messages')?.append(`${content} `);
});
Object.assign(window, { page: { socket, doctor } satisfies DoctorPage });
