;; Burns little fuel and much time: asks for no more memory, over and over.
;;; pick
(loop $ever (drop (memory.grow (i32.const 0))) (br $ever))
unreachable
