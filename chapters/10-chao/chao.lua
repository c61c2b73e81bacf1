-- A Wireshark dissector for CHAO:
--
--   tshark -X lua_script:chapters/10-chao/chao.lua -r build/last/eth1.pcapng
--
-- CHAO/1 is found by its EtherType. CHAO/0 has none, nor an Ethernet header to hold one: so this stands before the
-- dissector for Ethernet, looks at each frame's first four bytes, and hands on whatever does not begin with the magic.

local MAGIC = "CHAO"
local ETHERTYPE = 0x88B5 -- local experimental EtherType 1 (IEEE 802)
local HEADER, RAW_HEADER = 6, 4 -- bytes: magic and length; magic alone

local chao = Proto("chao", "CHAO")
local fields = {
    magic = ProtoField.string("chao.magic", "Magic"),
    length = ProtoField.uint16("chao.length", "Length", base.DEC),
    message = ProtoField.bytes("chao.message", "Message"),
    text = ProtoField.string("chao.text", "Message as text"),
    padding = ProtoField.bytes("chao.padding", "Padding"),
    version = ProtoField.uint8("chao.version", "Version", base.DEC),
}
chao.fields = fields
local truncated = ProtoExpert.new(
    "chao.truncated", "The length says more than has come", expert.group.MALFORMED, expert.severity.ERROR)
local not_ours = ProtoExpert.new(
    "chao.magic.other", "Another protocol of this EtherType", expert.group.PROTOCOL, expert.severity.NOTE)
chao.experts = { truncated, not_ours }

local function show_message(tree, message, info, version)
    tree:add(fields.version, version):set_generated()
    if message:len() > 0 then
        tree:add(fields.message, message)
        tree:add(fields.text, message):set_generated()
        info:set(string.format("CHAO/%d, %d bytes: %s", version, message:len(), message:string()))
    else
        info:set(string.format("CHAO/%d, the empty message", version))
    end
end

-- CHAO/1: `buffer` begins behind the Ethernet header.
function chao.dissector(buffer, packet, root)
    if buffer:len() < RAW_HEADER or buffer(0, RAW_HEADER):string() ~= MAGIC then
        root:add(chao, buffer()):add_proto_expert_info(not_ours)
        return 0
    end
    packet.cols.protocol = "CHAO"
    local tree = root:add(chao, buffer())
    tree:add(fields.magic, buffer(0, RAW_HEADER))
    if buffer:len() < HEADER then
        tree:add_proto_expert_info(truncated)
        return buffer:len()
    end
    local length, there = buffer(4, 2):uint(), buffer:len() - HEADER
    tree:add(fields.length, buffer(4, 2))
    if length > there then
        tree:add_proto_expert_info(truncated)
        packet.cols.info:set(string.format("CHAO/1, cut short: %d of %d bytes", there, length))
        return buffer:len()
    end
    show_message(tree, buffer(HEADER, length), packet.cols.info, 1)
    if there > length then
        tree:add(fields.padding, buffer(HEADER + length))
    end
    return buffer:len()
end

-- CHAO/0: `buffer` is the frame. Its message ends where nothing but zeros follow.
local function dissect_raw(buffer, packet, root)
    packet.cols.protocol = "CHAO"
    local tree = root:add(chao, buffer())
    tree:add(fields.magic, buffer(0, RAW_HEADER))
    local bytes, length = buffer:bytes(RAW_HEADER), buffer:len() - RAW_HEADER
    while length > 0 and bytes:get_index(length - 1) == 0 do
        length = length - 1
    end
    if length == 0 then
        show_message(tree, buffer(buffer:len()), packet.cols.info, 0)
    else
        show_message(tree, buffer(RAW_HEADER, length), packet.cols.info, 0)
    end
    if RAW_HEADER + length < buffer:len() then
        tree:add(fields.padding, buffer(RAW_HEADER + length))
    end
    return buffer:len()
end

DissectorTable.get("ethertype"):add(ETHERTYPE, chao)

local encapsulations = DissectorTable.get("wtap_encap")
local ethernet = encapsulations:get_dissector(wtap.ETHERNET)
local headless = Proto("chao0", "CHAO without an Ethernet header, or Ethernet")
function headless.dissector(buffer, packet, root)
    if buffer:len() >= RAW_HEADER and buffer(0, RAW_HEADER):string() == MAGIC then
        return dissect_raw(buffer, packet, root)
    end
    return ethernet:call(buffer, packet, root)
end
encapsulations:add(wtap.ETHERNET, headless)
