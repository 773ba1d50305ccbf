"""A libtorrent peer of the swarm measurement.

make FOLDER                        writes FOLDER/package.torrent for FOLDER/seed/package.bin
seed FOLDER ADDRESS:PORT           seeds until it is killed
leech FOLDER ADDRESS:PORT PEER...  prints "ready", waits for a line, prints "done" when complete, seeds on
"""

import os
import sys
import time

import libtorrent


def make(folder):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, os.path.join(folder, "seed", "package.bin"))
    torrent = libtorrent.create_torrent(files)
    libtorrent.set_piece_hashes(torrent, os.path.join(folder, "seed"))
    with open(os.path.join(folder, "package.torrent"), "wb") as out:
        out.write(libtorrent.bencode(torrent.generate()))


def session_on(address):
    return libtorrent.session(
        {
            "listen_interfaces": address,
            "enable_dht": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_lsd": True,
            "local_service_announce_interval": 5,
            "allow_multiple_connections_per_ip": True,
            "connection_speed": 200,
            "unchoke_slots_limit": 8,
        }
    )


def add(session, folder, save_path, seeding):
    info = libtorrent.torrent_info(os.path.join(folder, "package.torrent"))
    params = {"ti": info, "save_path": save_path}
    if seeding:
        params["flags"] = libtorrent.torrent_flags.seed_mode
    handle = session.add_torrent(params)
    handle.resume()
    return handle


def main():
    mode, folder = sys.argv[1:3]
    if mode == "make":
        make(folder)
        return
    address = sys.argv[3]
    session = session_on(address)
    is_seed = mode == "seed"
    own = "seed" if is_seed else address.replace(":", "-")
    save_path = os.path.join(folder, own)
    os.makedirs(save_path, exist_ok=True)
    if not is_seed:
        print("ready", flush=True)
        sys.stdin.readline()
    handle = add(session, folder, save_path, is_seed)
    for peer in sys.argv[4:]:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.05)
    print("done", flush=True)
    while True:
        time.sleep(1)


main()
